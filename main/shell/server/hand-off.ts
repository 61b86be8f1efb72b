/**
 * A one-time link for a browser that is about to start: in a file that only its user can read, since everyone on the machine sees the
 * arguments of a process.
 */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { homeFolder } from '../../contract/data-folder.ts';

export interface HandOff {
  /** Address of the file; opening it leads to the link. */
  readonly address: string;
  /** Deletes the file. */
  end(): void;
}

/** `browser`: path of the program that will read it; null for an unknown one. */
export function handOff(link: string, browser: string | null): HandOff {
  const folder = mkdtempSync(join(readableFor(browser), 'tritsmith-'));
  const file = join(folder, 'open.html');
  const page = `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${link}"><title>Tritsmith</title>\n`;
  writeFileSync(file, page, { mode: 0o600 });
  return {
    address: pathToFileURL(file).href,
    end: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A browser in a snap sees neither the temporary folder nor hidden ones, but its own. */
function readableFor(browser: string | null): string {
  const snap = browser === null ? undefined : /\/snap\/(?:bin\/)?([\w-]+)/.exec(realTarget(browser))?.[1];
  return snap === undefined ? tmpdir() : join(homeFolder(), 'snap', snap, 'common');
}

function realTarget(path: string): string {
  if (path.includes('/snap/')) return path;
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
