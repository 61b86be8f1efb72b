/** A worker that outlives its workbench must not write beside its successor. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { readWorkerNote, removeWorkerNote, writeWorkerNote } from '../../experiment/worker-note.ts';
import { identityOf, whereabouts } from './process-identity.ts';

/** An orphan ends by itself when its event loop turns; this long it may take before it is ended. */
const patienceMilliseconds = 3000;

/** Leaves a note of which process works in the experiment's folder. */
export function noteWorker(folder: string, pid: number): void {
  writeWorkerNote(folder, identityOf(pid));
}

/** Waits for a worker that an earlier workbench left in `folder`, and ends it when it does not end by itself. */
export async function clearOrphan(folder: string, patience = patienceMilliseconds): Promise<void> {
  const orphan = readWorkerNote(folder);
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
  removeWorkerNote(folder);
}
