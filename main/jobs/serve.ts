/** A worker's life: one command in, events out, the end. What the command does is given by `duties`. */
import { TritsmithError } from '../contract/errors.ts';
import type { JobEvent, JobSpec } from '../contract/jobs.ts';
import type { WorkerQuery } from '../contract/queries.ts';
import { workerCommand, type WorkerMessage } from '../contract/worker-protocol.ts';
import { type JobContext, JobStopped } from '../pipeline/job.ts';
import type { WorkerChannel } from './channel.ts';
import { heartbeatSeconds } from './silence.ts';
import type { StopRequest } from './stop-signal.ts';

export interface WorkerDuties {
  /** Runs a job to its end; obeys `context.stopRequested()` by throwing JobStopped. The result must be JSON. */
  runJob(spec: JobSpec, context: JobContext): Promise<unknown>;
  answerQuery(query: WorkerQuery): Promise<unknown>;
}

/**
 * Serves one command and ends the process: exit code 0 after done, paused, cancelled or an answer, 1 after a failure. Ends at
 * once when the workbench disappears: whatever was saved last is what a resume starts from. A stop request is seen only when
 * the job lets the event loop turn (any await of a timer, file or session run does).
 */
export function serve(channel: WorkerChannel, duties: WorkerDuties): void {
  let busy = false;
  let stop: StopRequest | null = null;
  let ending = false;

  const say = (message: WorkerMessage): Promise<void> => channel.send(message);
  const end = async (message: WorkerMessage, exitCode: number): Promise<void> => {
    if (ending) return;
    ending = true;
    await say(message);
    await channel.beforeExit?.(message.type === 'done');
    process.exit(exitCode);
  };
  const fail = (thrown: unknown): void => {
    void end({ type: 'failed', error: TritsmithError.from(thrown).serialise() }, 1);
  };

  const runJob = async (spec: JobSpec): Promise<void> => {
    try {
      const result = await duties.runJob(spec, {
        emit: (event) => {
          if (!ending) void say(event);
        },
        stopRequested: () => stop,
      });
      await end({ type: 'done', result: asJson(result) }, 0);
    } catch (thrown) {
      if (!(thrown instanceof JobStopped)) fail(thrown);
      else if (thrown.request === 'pause') await end({ type: 'paused', step: thrown.step }, 0);
      else await end({ type: 'cancelled' }, 0);
    }
  };
  const answer = async (query: WorkerQuery): Promise<void> => {
    try {
      await end({ type: 'answer', answer: asJson(await duties.answerQuery(query)) }, 0);
    } catch (thrown) {
      await end({ type: 'query-failed', error: TritsmithError.from(thrown).serialise() }, 1);
    }
  };

  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  // A request to end is the workbench's to interpret; a service manager sends it to every process of the service.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  // The pipes break when the workbench dies; that alone is no error.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  channel.onDisconnect(() => {
    process.exit(1);
  });
  channel.onMessage((raw) => {
    const parsed = workerCommand.safeParse(raw);
    if (!parsed.success) {
      fail(new TritsmithError('internal', 'worker.unknown-command', undefined, { details: parsed.error.message }));
      return;
    }
    const command = parsed.data;
    if (command.type === 'pause' || command.type === 'cancel') {
      if (stop !== 'cancel') stop = command.type;
      return;
    }
    if (busy) {
      fail(new TritsmithError('internal', 'worker.second-command'));
      return;
    }
    busy = true;
    setInterval(() => {
      if (!ending) void say({ type: 'alive' });
    }, heartbeatSeconds * 1000).unref();
    void (command.type === 'start' ? runJob(command.spec) : answer(command.query));
  });
}

type Json = Extract<JobEvent, { type: 'done' }>['result'];

/** The value as JSON would carry it; a job that returns nothing has the result null. */
function asJson(value: unknown): Json {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json);
}
