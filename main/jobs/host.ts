/** The workbench's side of a worker: runs one job or asks one question in a fresh process and sees that it ends. */
import { TritsmithError } from '../contract/errors.ts';
import { type JobResults, jobResults } from '../contract/job-results.ts';
import type { JobEvent, JobKind, JobSpec } from '../contract/jobs.ts';
import { queryAnswer, type QueryAnswer, type QueryType, type WorkerQuery } from '../contract/queries.ts';
import { type WorkerCommand, workerMessage, type WorkerMessage } from '../contract/worker-protocol.ts';
import { memoryDeath, MemoryWatch, outOfMemory } from './memory-death.ts';
import { type SilenceOptions, SilenceWatch } from './silence.ts';
import type { SpawnPort, WorkerExit, WorkerProcess } from './spawn-port.ts';
import type { StopSignal } from './stop-signal.ts';

export type JobOutcome<Kind extends JobKind = JobKind> =
  | { readonly state: 'done'; readonly result: JobResults[Kind] }
  | { readonly state: 'paused'; readonly step: number }
  | { readonly state: 'cancelled' };

export interface RunOptions extends SilenceOptions {
  /** Every event of the job in order, the last one included. */
  onEvent?(event: JobEvent): void;
  /** The process exists; `pid` lets the caller recognise it after a crash of its own. */
  onStart?(pid: number | undefined): void;
  signal?: StopSignal;
  /** Seconds that a worker has for obeying a cancel before it is killed; default 5. */
  cancelSeconds?: number;
}

/**
 * Runs `spec` in a fresh worker. Resolves when the process has ended after done, paused or cancelled; throws the job's own
 * error, whole, or `worker-died` when the process ended without a last word.
 */
export async function runInWorker<Kind extends JobKind>(
  port: SpawnPort,
  spec: JobSpec & { readonly kind: Kind },
  options: RunOptions = {},
): Promise<JobOutcome<Kind>> {
  let last: WorkerMessage | null = null;
  let killed = false;
  const worker = port.spawn();
  options.onStart?.(worker.pid);
  const silence = new SilenceWatch(options);
  const memory = new MemoryWatch(worker.pid);

  const exited = converse(worker, { type: 'start', spec }, (message) => {
    silence.heard();
    if (message.type === 'alive' || message.type === 'answer' || message.type === 'query-failed') return;
    if (isFinal(message)) last = message;
    options.onEvent?.(message);
  });
  let cancelTimer: NodeJS.Timeout | undefined;
  const unsubscribe = options.signal?.subscribe((request) => {
    worker.send({ type: request } satisfies WorkerCommand);
    if (request !== 'cancel') return;
    cancelTimer = setTimeout(
      () => {
        killed = true;
        worker.kill();
      },
      (options.cancelSeconds ?? 5) * 1000,
    );
  });
  try {
    const exit = await exited;
    if (last === null && !killed) {
      const death = memoryDeath(spec, exit, worker.outputTail(), memory);
      if (death !== null) throw death;
    }
    return outcomeOf(spec, last, exit, worker, killed);
  } finally {
    silence.end();
    memory.end();
    clearTimeout(cancelTimer);
    unsubscribe?.();
  }
}

/** Asks one question in a fresh worker. Throws the worker's error, or `worker-died`. */
export async function askWorker<Q extends WorkerQuery>(port: SpawnPort, query: Q): Promise<QueryAnswer<Q['type']>> {
  let reply: WorkerMessage | null = null;
  const worker = port.spawn();
  const exit = await converse(worker, { type: 'query', query }, (message) => {
    if (message.type !== 'alive') reply = message;
  });
  const said = reply as WorkerMessage | null;
  if (said?.type === 'query-failed' || said?.type === 'failed') throw TritsmithError.deserialise(said.error);
  if (said?.type !== 'answer') throw workerDied(exit, worker.outputTail(), 'again');
  const type: QueryType = query.type;
  const parsed = queryAnswer[type].safeParse(said.answer);
  if (!parsed.success)
    throw new TritsmithError(
      'internal',
      'worker.unexpected-answer',
      { question: type },
      { details: parsed.error.message },
    );
  return parsed.data as QueryAnswer<Q['type']>;
}

/** Sends `command`, hands on every valid message, resolves at the end of the process. */
function converse(
  worker: WorkerProcess,
  command: WorkerCommand,
  onMessage: (message: WorkerMessage) => void,
): Promise<WorkerExit> {
  worker.onMessage((raw) => {
    const parsed = workerMessage.safeParse(raw);
    onMessage(
      parsed.success
        ? parsed.data
        : {
            type: 'log',
            level: 'warning',
            text: `The worker said something that is not in the protocol: ${parsed.error.message}`,
          },
    );
  });
  const exited = new Promise<WorkerExit>((resolve) => {
    worker.onExit(resolve);
  });
  worker.send(command);
  return exited;
}

function isFinal(message: WorkerMessage): boolean {
  return ['done', 'paused', 'cancelled', 'failed'].includes(message.type);
}

function outcomeOf<Kind extends JobKind>(
  spec: JobSpec & { readonly kind: Kind },
  last: WorkerMessage | null,
  exit: WorkerExit,
  worker: WorkerProcess,
  killed: boolean,
): JobOutcome<Kind> {
  switch (last?.type) {
    case 'done':
      return { state: 'done', result: resultOf(spec.kind, last.result) };
    case 'paused':
      return { state: 'paused', step: last.step };
    case 'cancelled':
      return { state: 'cancelled' };
    case 'failed': {
      const { code, cause, message, details } = last.error;
      if (code === 'out-of-memory') throw outOfMemory(spec, { by: 'itself', said: cause ?? message }, details ?? '');
      throw TritsmithError.deserialise(last.error);
    }
    default:
      if (killed) return { state: 'cancelled' };
      throw workerDied(exit, worker.outputTail(), 'resume');
  }
}

/** Checks what a job of this kind says that it found out. */
function resultOf<Kind extends JobKind>(kind: Kind, said: unknown): JobResults[Kind] {
  const parsed = jobResults[kind].safeParse(said);
  if (!parsed.success)
    throw new TritsmithError('internal', 'worker.strange-result', { kind }, { details: parsed.error.message });
  return parsed.data as JobResults[Kind];
}

/** The error of a process that ended without a last word. `onward`: what to do next. */
function workerDied(exit: WorkerExit, tail: string, onward: 'again' | 'resume'): TritsmithError {
  if (exit.ranks !== undefined)
    return new TritsmithError('worker-died', exit.ranks, { details: tail.trim() || undefined });
  return new TritsmithError(
    'worker-died',
    'worker.died',
    { startError: exit.startError, signal: exit.signal, code: exit.code, onward },
    { details: tail.trim() || undefined },
  );
}
