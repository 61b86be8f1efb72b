/** A worker that outlives its workbench must not write beside its successor. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { writeJsonAtomically } from '../workspace/atomic-json.ts';
import { identityOf, processIdentity, type ProcessIdentity, whereabouts } from './process-identity.ts';

const fileName = 'worker.json';
/** An orphan ends by itself when its event loop turns; this long it may take before it is ended. */
const patienceMilliseconds = 3000;

/** Leaves a note of which process works in the experiment's folder. */
export function noteWorker(folder: string, pid: number): void {
  writeJsonAtomically(join(folder, fileName), identityOf(pid));
}

export function forgetWorker(folder: string): void {
  rmSync(join(folder, fileName), { force: true });
}

/** Waits for a worker that an earlier workbench left in `folder`, and ends it when it does not end by itself. */
export async function clearOrphan(folder: string, patience = patienceMilliseconds): Promise<void> {
  const orphan = readNote(folder);
  if (orphan === null) return;
  const started = performance.now();
  let killed = false;
  while (whereabouts(orphan) === 'alive') {
    const waited = performance.now() - started;
    if (waited > patience && !killed) {
      process.kill(orphan.pid, 'SIGKILL');
      killed = true;
    }
    if (waited > patience + 5000) throw new TritsmithError('locked', 'experiment.old-worker', { pid: orphan.pid });
    await sleep(20);
  }
  forgetWorker(folder);
}

function readNote(folder: string): ProcessIdentity | null {
  try {
    return processIdentity.parse(JSON.parse(readFileSync(join(folder, fileName), 'utf8')));
  } catch {
    return null;
  }
}
