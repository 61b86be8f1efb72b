/** The workbench's side of a runtime process: a stream of what it says, ended with the process. */
import { TritsmithError } from '../../contract/errors.ts';
import { type RuntimeCommand, runtimeMessage, type RuntimeMessage } from '../../contract/helper-protocol.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';

/**
 * Starts a process for `command` and yields what it says, without the closing `finished`. The process is killed when the consumer
 * stops reading or `signal` aborts; `cancel` asks it to end after the current token or row, and its last words are still yielded.
 * Throws the process's error, or `worker-died`.
 */
export async function* converse(
  port: SpawnPort,
  command: RuntimeCommand,
  signal?: AbortSignal,
  cancel?: AbortSignal,
): AsyncGenerator<RuntimeMessage, void> {
  const worker = port.spawn();
  const waiting: RuntimeMessage[] = [];
  let exited = false;
  let wake: () => void = () => undefined;
  worker.onMessage((raw) => {
    const parsed = runtimeMessage.safeParse(raw);
    if (parsed.success) waiting.push(parsed.data);
    wake();
  });
  worker.onExit(() => {
    exited = true;
    wake();
  });
  const onAbort = (): void => {
    worker.kill();
  };
  const onCancel = (): void => {
    worker.send({ type: 'cancel' } satisfies RuntimeCommand);
  };
  signal?.addEventListener('abort', onAbort);
  cancel?.addEventListener('abort', onCancel);
  worker.send(command);
  try {
    for (;;) {
      const message = waiting.shift();
      if (message?.type === 'finished') return;
      if (message?.type === 'failed') throw TritsmithError.deserialise(message.error);
      if (message !== undefined) yield message;
      else if (exited) {
        if (signal?.aborted === true) return;
        throw new TritsmithError('worker-died', 'helper.died', undefined, { details: worker.outputTail() });
      } else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    cancel?.removeEventListener('abort', onCancel);
    if (!exited) worker.kill();
  }
}

/** The one message of type `wanted` that `command` is answered with. */
export async function ask<T extends RuntimeMessage['type']>(
  port: SpawnPort,
  command: RuntimeCommand,
  wanted: T,
): Promise<Extract<RuntimeMessage, { type: T }>> {
  for await (const message of converse(port, command))
    if (message.type === wanted) return message as Extract<RuntimeMessage, { type: T }>;
  throw new TritsmithError('internal', 'helper.no-answer', { question: command.type });
}
