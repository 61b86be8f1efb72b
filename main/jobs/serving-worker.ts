/** The entry of the processes behind a model server: each holds the model and answers one request at a time, until the server is gone. */
import { TritsmithError } from '../contract/errors.ts';
import { servingCommand, type ServingMessage } from '../contract/serving-protocol.ts';
import type { ResidentModel } from '../pipeline/answer/resident-model.ts';
import { openChannel } from './channel.ts';

const channel = openChannel();
let model: ResidentModel | null = null;
let running: { readonly id: number; readonly abort: AbortController } | null = null;

const say = (message: ServingMessage): Promise<void> => channel.send(message);
const serialised = (thrown: unknown) => TritsmithError.from(thrown).serialise();

async function obey(raw: unknown): Promise<void> {
  const command = servingCommand.parse(raw);
  if (command.type === 'cancel') {
    if (running?.id === command.id) running.abort.abort();
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
  running = { id, abort };
  try {
    if (model === null) throw new TritsmithError('internal', 'worker.unknown-command');
    const tell = (text: string): void => void say({ type: 'text', id, text });
    await say(command.type === 'score' ? await model.score(command) : await model.write(command, tell, abort.signal));
  } catch (thrown) {
    await say({ type: 'refused', id, error: serialised(thrown) });
  } finally {
    running = null;
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
