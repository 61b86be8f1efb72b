/** llama.cpp as a component on demand (the npm package node-llama-cpp and its CPU binary): where it is looked for, and whether it is there. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ComponentState } from '../contract/components.ts';
import { componentsFolder } from '../contract/data-folder.ts';
import { TritsmithError } from '../contract/errors.ts';

/** Version of node-llama-cpp, which decides the version of llama.cpp. */
export const llamaCppVersion = '3.22.1';

/** Bytes of the installed folder on Linux, measured; the other systems differ by some. */
export const installedBytes = 84_000_000;

const platformPackages: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

/** npm package with the binary for this machine, without its scope; null where none is published. */
export function platformPackage(
  platform: string = process.platform,
  architecture: string = process.arch,
): string | null {
  return platformPackages[`${platform}-${architecture}`] ?? null;
}

/** Folder that the component is, or would be, installed in. */
export function llamaCppFolder(components: string = componentsFolder()): string {
  return join(components, `llama.cpp-${llamaCppVersion}`);
}

/** The component's folder, or null when it is not installed. */
export function findLlamaCpp(components: string = componentsFolder()): string | null {
  const folder = llamaCppFolder(components);
  const binary = platformPackage();
  const files = [`@node-llama-cpp/${String(binary)}/package.json`, 'node-llama-cpp/dist/index.js'];
  return binary !== null && files.every((file) => existsSync(join(folder, 'node_modules', file))) ? folder : null;
}

/** @throws TritsmithError `not-found` that says how to get it */
export function requireLlamaCpp(components: string = componentsFolder()): string {
  const folder = findLlamaCpp(components);
  if (folder !== null) return folder;
  throw new TritsmithError('not-found', 'llama-cpp.not-installed');
}

export function llamaCppState(components: string = componentsFolder()): ComponentState {
  return {
    name: 'llama.cpp',
    purpose:
      'runs exported files to prove that they work elsewhere, and runs the teacher as F16 or 4 bits to compare with',
    version: llamaCppVersion,
    package: 'node-llama-cpp',
    installed: findLlamaCpp(components) !== null,
    folder: llamaCppFolder(components),
    bytes: installedBytes,
    obstacle:
      platformPackage() === null
        ? `There is no ready-made llama.cpp for ${process.platform} on ${process.arch} processors.`
        : null,
  };
}

/** Deletes the component; nothing happens where it is not installed. */
export async function removeLlamaCpp(components: string = componentsFolder()): Promise<void> {
  await rm(llamaCppFolder(components), { recursive: true, force: true });
}
