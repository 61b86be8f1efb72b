/** Components on demand, asked for and installed in a process of their own. */
import type { ComponentName, ComponentProgress, ComponentState } from '../../contract/components.ts';
import type { RuntimeCommand } from '../../contract/helper-protocol.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { ask, converse } from './helper-host.ts';

export async function componentStates(port: SpawnPort): Promise<ComponentState[]> {
  return (await ask(port, { type: 'components' }, 'component-states')).states;
}

/**
 * Downloads and installs a component; yields how far it is. Whoever stops reading, or aborts `signal`, ends the download, and nothing
 * is left of it. `proxy`: the address that npm is to use; empty for the environment's.
 */
export async function* installComponent(
  port: SpawnPort,
  name: ComponentName,
  signal?: AbortSignal,
  proxy = '',
): AsyncGenerator<ComponentProgress, void> {
  const cancel = new AbortController();
  const onAbort = (): void => {
    cancel.abort();
  };
  signal?.addEventListener('abort', onAbort);
  try {
    const command: RuntimeCommand = { type: 'install-component', name, proxy };
    for await (const message of converse(port, command, undefined, cancel.signal))
      if (message.type === 'component-progress') yield message.progress;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

export async function removeComponent(port: SpawnPort, name: ComponentName): Promise<ComponentState[]> {
  return (await ask(port, { type: 'remove-component', name }, 'component-states')).states;
}
