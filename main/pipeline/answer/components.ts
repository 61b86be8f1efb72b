/** Components on demand: what is there, installing and removing them. Nothing is fetched unless this is asked. */
import type { ComponentName, ComponentProgress } from '../../contract/components.ts';
import type { RuntimeMessage } from '../../contract/helper-protocol.ts';
import { installWebGpu, removeWebGpu, webGpuBytes, webGpuState } from '../../graph/webgpu/component.ts';
import { installLlamaCpp, llamaCppState, removeLlamaCpp } from '../../llama-cpp/index.ts';

interface Component {
  install(onProgress: (progress: ComponentProgress) => void, signal: AbortSignal): Promise<string>;
  remove(): Promise<void>;
}

const components: Readonly<Record<ComponentName, Component>> = {
  'llama.cpp': { install: installLlamaCpp, remove: removeLlamaCpp },
  webgpu: {
    install: (onProgress, signal) =>
      installWebGpu((text, done) => {
        onProgress({ name: 'webgpu', text, done, total: webGpuBytes });
      }, signal),
    remove: removeWebGpu,
  },
};

type Command =
  | { readonly type: 'components' }
  | { readonly type: 'install-component'; readonly name: ComponentName; readonly proxy: string }
  | { readonly type: 'remove-component'; readonly name: ComponentName };

/** Says `component-progress` while it works and `component-states` at the end. */
export async function componentCommand(
  command: Command,
  say: (message: RuntimeMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  if (command.type === 'install-component') {
    // This process installs, and ends: what npm reads may be its own.
    if (command.proxy !== '') process.env['npm_config_https_proxy'] = process.env['npm_config_proxy'] = command.proxy;
    await components[command.name].install((progress) => {
      say({ type: 'component-progress', progress });
    }, signal);
  }
  if (command.type === 'remove-component') await components[command.name].remove();
  say({ type: 'component-states', states: [llamaCppState(), webGpuState()] });
}
