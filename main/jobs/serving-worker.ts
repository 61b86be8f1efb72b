/** The entry of the process behind a model server: it holds the model and answers many requests at once, until the server is gone. */
import { TritsmithError } from '../contract/errors.ts';
import { servingCommand, type ServingMessage } from '../contract/serving-protocol.ts';
import type { ResidentModel } from '../pipeline/answer/resident-model.ts';
import { openChannel } from './channel.ts';

const channel = openChannel();
let model: ResidentModel | null = null;
/** Of the requests that are computed. */
const running = new Map<number, AbortController>();

const say = (message: ServingMessage): Promise<void> => channel.send(message);
const serialised = (thrown: unknown) => TritsmithError.from(thrown).serialise();

async function obey(raw: unknown): Promise<void> {
  const command = servingCommand.parse(raw);
  if (command.type === 'cancel') {
    running.get(command.id)?.abort();
    return;
  }
  if (command.type === 'open') {
    const { openResident } = await import('../pipeline/answer/resident-model.ts');
    model = await openResident(command.model);
    await say({ type: 'opened', facts: model.facts });
    return;
  }
  const { id } = command;
  const abort = new AbortController();
  running.set(id, abort);
  try {
    if (model === null) throw new TritsmithError('internal', 'worker.unknown-command');
    const tell = (text: string): void => void say({ type: 'text', id, text });
    const { signal } = abort;
    await say(command.type === 'score' ? await model.score(command, signal) : await model.write(command, tell, signal));
  } catch (thrown) {
    await say({ type: 'refused', id, error: serialised(thrown) });
  } finally {
    running.delete(id);
  }
}

// A request to end is the server's to interpret.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
channel.onDisconnect(() => {
  process.exit(1);
});
channel.onMessage((raw) => {
  obey(raw).catch(async (thrown: unknown) => {
    await say({ type: 'failed', error: serialised(thrown) });
    process.exit(1);
  });
});
