/** The inside of an isolated process: answers one question after another, under the eyes of a watchdog thread. */
import { Worker } from 'node:worker_threads';
import type { Question } from './isolated-process.ts';

/**
 * Answers every question with what `answer` returns; errors have to be part of the answer. The process ends at once when its memory
 * grows by more than the question allows, and when its parent is gone.
 */
export function serveIsolated(answer: (request: unknown) => unknown): void {
  const allowed = new Float64Array(new SharedArrayBuffer(8));
  allowed[0] = Infinity;
  new Worker(new URL('./watchdog.ts', import.meta.url), { workerData: allowed, execArgv: [] }).unref();
  let resting = 0;
  process.on('message', async ({ megabytes, request }: Question) => {
    resting ||= process.memoryUsage.rss();
    allowed[0] = resting + megabytes * 1024 ** 2;
    const reply = await answer(request);
    allowed[0] = Infinity;
    process.send!(reply);
  });
  process.on('disconnect', () => process.exit(0));
  process.send!('ready');
}
