/** One workbench at a time may write to a workspace; a second one is told who holds it. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { processIdentity } from '../../experiment/worker-note.ts';
import { identityOf, whereabouts } from '../experiments/process-identity.ts';

const lockContent = processIdentity.extend({
  /** What the holder is doing, in the user's words, such as `tritsmith run`. */
  purpose: z.string(),
  since: z.number(),
});
export type LockHolder = z.infer<typeof lockContent>;

export interface WorkspaceLock {
  /** A holder before us ended without giving the lock back. */
  readonly tookOverFrom: LockHolder | null;
  release(): void;
}

const held = new Set<string>();

/** Takes the lock, or returns who has it. A lock whose holder is gone (process id and start time) is taken over. */
export function tryLock(path: string, purpose: string): WorkspaceLock | LockHolder {
  const own: LockHolder = { ...identityOf(process.pid), purpose, since: Date.now() };
  if (held.has(path)) return own;
  const draft = `${path}.${randomUUID()}`;
  let tookOverFrom: LockHolder | null = null;
  writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    for (let attempt = 0; ; attempt++) {
      if (linked(draft, path)) break;
      const holder = readHolder(path);
      if (holder === 'none') continue;
      if (holder !== 'unreadable' && whereabouts(holder) !== 'gone') return holder;
      if (!setAside(path, holder) && attempt > 10)
        throw new TritsmithError('locked', 'workspace.contested');
      tookOverFrom = holder === 'unreadable' ? { ...own, pid: 0, purpose: 'unknown' } : holder;
    }
  } finally {
    rmSync(draft, { force: true });
  }
  held.add(path);
  return {
    tookOverFrom,
    release: () => {
      if (!held.delete(path)) return;
      const holder = readHolder(path);
      if (typeof holder === 'object' && holder.since === own.since && holder.pid === own.pid)
        rmSync(path, { force: true });
    },
  };
}

/** The error that a second workbench gets. */
export function lockedBy(folder: string, path: string, holder: LockHolder): TritsmithError {
  return new TritsmithError('locked', 'workspace.held', { folder, pid: holder.pid === process.pid ? null : holder.pid, machine: holder.host, elsewhere: whereabouts(holder) === 'elsewhere', purpose: holder.purpose, since: holder.since, lock: path });
}

export function isHolder(lock: WorkspaceLock | LockHolder): lock is LockHolder {
  return 'pid' in lock;
}

/** A hard link appears with its whole content or not at all, and fails when the name is taken; not every file system has it. */
function linked(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error;
  }
  try {
    writeFileSync(path, readFileSync(draft), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path: string): LockHolder | 'none' | 'unreadable' {
  try {
    const parsed = lockContent.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    return parsed.success ? parsed.data : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'none' : 'unreadable';
  }
}

/** Moves the stale lock away; a fresh lock that another process put there meanwhile is put back. */
function setAside(path: string, stale: LockHolder | 'unreadable'): boolean {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const moved = readHolder(aside);
  const same = JSON.stringify(moved) === JSON.stringify(stale);
  if (!same) linked(aside, path);
  rmSync(aside, { force: true });
  return same;
}
