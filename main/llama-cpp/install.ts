/** Installs llama.cpp with npm; its packages are pinned by resources/llama-cpp/package-lock.json. */
import { fileURLToPath } from 'node:url';
import { installNpmComponent } from '../basics/npm-component.ts';
import type { ComponentProgress } from '../contract/components.ts';
import { componentsFolder } from '../contract/data-folder.ts';
import { TritsmithError } from '../contract/errors.ts';
import { findLlamaCpp, installedBytes, llamaCppFolder, llamaCppVersion, platformPackage } from './component.ts';

const lockFile = fileURLToPath(new URL('../../resources/llama-cpp/package-lock.json', import.meta.url));

/**
 * Installs the component and returns its folder; one that is there already is left as it is. A stop or a failure leaves nothing.
 * @param onProgress bytes on the disk so far, of about `installedBytes`
 * @throws TritsmithError `unsupported` (no binary for this machine), and what `installNpmComponent` throws
 */
export async function installLlamaCpp(
  onProgress: (progress: ComponentProgress) => void = () => undefined,
  signal?: AbortSignal,
  components: string = componentsFolder(),
): Promise<string> {
  const present = findLlamaCpp(components);
  if (present !== null) return present;
  const binary = platformPackage();
  if (binary === null)
    throw new TritsmithError('unsupported', 'component.no-binary', {
      name: 'llama.cpp',
      platform: process.platform,
      processor: process.arch,
    });
  return installNpmComponent(
    {
      name: 'llama.cpp',
      dependencies: { 'node-llama-cpp': llamaCppVersion, [`@node-llama-cpp/${binary}`]: llamaCppVersion },
      lockFile,
      bytes: installedBytes,
      folder: llamaCppFolder(components),
      find: () => findLlamaCpp(components),
    },
    (text, done) => {
      onProgress({ name: 'llama.cpp', text, done, total: installedBytes });
    },
    signal,
  );
}
