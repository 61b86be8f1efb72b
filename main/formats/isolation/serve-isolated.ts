/** The inside of an isolated process: answers one question after another, under the eyes of a watchdog thread. */
import { Worker } from 'node:worker_threads';
import type { Question } from './isolated-process.ts';

/** Shared with the watchdog. */
export interface Allowance {
  /** `[resident bytes, processor time in microseconds]` at which the process is ended. */
  readonly mark: Float64Array;
}

/**
 * Answers every question with what `answer` returns; errors have to be part of the answer. The process ends at once when its memory
 * or processor time grows by more than the question allows, and when its parent is gone.
 */
export function serveIsolated(answer: (request: unknown) => unknown): void {
  const mark = new Float64Array(new SharedArrayBuffer(16)).fill(Infinity);
  new Worker(new URL('./watchdog.ts', import.meta.url), {
    workerData: { mark } satisfies Allowance,
    execArgv: [],
  }).unref();
  let resting = 0;
  const reply = async ({ seconds, megabytes, request }: Question): Promise<void> => {
    resting ||= process.memoryUsage.rss();
    const { user, system } = process.cpuUsage();
    mark[0] = resting + megabytes * 1024 ** 2;
    mark[1] = user + system + seconds * 1e6;
    const answered = await answer(request);
    mark.fill(Infinity);
    process.send!(answered);
  };
  // What `answer` throws ends the process, and the other side reports it.
  process.on('message', (question: Question) => void reply(question));
  process.on('disconnect', () => process.exit(0));
  process.send!('ready');
}
