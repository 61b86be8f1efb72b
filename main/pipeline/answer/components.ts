/** Components on demand: what is there, installing and removing them. Nothing is fetched unless this is asked. */
import type { ComponentName } from '../../contract/components.ts';
import type { RuntimeMessage } from '../../contract/helper-protocol.ts';
import { installLlamaCpp, llamaCppState, removeLlamaCpp } from '../../llama-cpp/index.ts';

type Command =
  | { readonly type: 'components' }
  | { readonly type: 'install-component' | 'remove-component'; readonly name: ComponentName };

/** Says `component-progress` while it works and `component-states` at the end. */
export async function componentCommand(
  { type }: Command,
  say: (message: RuntimeMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  if (type === 'install-component')
    await installLlamaCpp((progress) => {
      say({ type: 'component-progress', progress });
    }, signal);
  if (type === 'remove-component') await removeLlamaCpp();
  say({ type: 'component-states', states: [llamaCppState()] });
}
