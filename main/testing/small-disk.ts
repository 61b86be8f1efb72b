/** A disk of a few megabytes for tests of what happens when it is full; needs the right to mount. */
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly folder: string;
  /** Fills it up to the last byte but `left`. */
  fill(left?: number): void;
  /** Takes the filling out again. */
  free(): void;
  unmount(): void;
}

/** Mounts one of `megabytes`; null where this user may not. */
export function mountSmallDisk(megabytes: number): SmallDisk | null {
  if (process.platform !== 'linux') return null;
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(megabytes)}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmdirSync(folder);
    return null;
  }
  const ballast = join(folder, '.ballast');
  return {
    folder,
    fill: (left = 0) => {
      const file = openSync(ballast, 'w');
      let size = 0;
      try {
        for (const block = Buffer.alloc(64 * 1024); ;) size += writeSync(file, block);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
      }
      if (left > 0) ftruncateSync(file, Math.max(0, size - left));
      closeSync(file);
    },
    free: () => {
      rmSync(ballast, { force: true });
    },
    unmount: () => {
      execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
      rmdirSync(folder);
    },
  };
}

export const noSmallDisk = 'skipped: mounting a small disk needs root';
