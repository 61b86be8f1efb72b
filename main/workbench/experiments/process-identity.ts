/** Whether a process is still the one that was noted, and not a later one that got the same number. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ProcessIdentity } from '../../experiment/worker-note.ts';

export function identityOf(pid: number): ProcessIdentity {
  return { pid, startTime: startTimeOf(pid), host: hostname() };
}

/** Whether exactly this process still runs; `elsewhere` when it belongs to another machine, which cannot be asked. */
export function whereabouts(identity: ProcessIdentity): 'alive' | 'gone' | 'elsewhere' {
  if (identity.host !== hostname()) return 'elsewhere';
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return 'gone';
  }
  const startTime = startTimeOf(identity.pid);
  if (startTime === null) return identity.startTime === null ? 'alive' : 'gone';
  return identity.startTime === null || identity.startTime === startTime ? 'alive' : 'gone';
}

/** Linux: ticks since boot and the boot's id. Elsewhere with `ps`: its text. A zombie has ended and counts as none. */
function startTimeOf(pid: number): string | null {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
      // The second field, in brackets, is the program's name and may hold anything.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z') return null;
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19] ?? ''}`;
    }
    if (process.platform === 'win32') return null;
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}
