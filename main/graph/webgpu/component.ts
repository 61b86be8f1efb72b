/** WebGPU as a component on demand (the npm package `webgpu`, which is Dawn): where it is looked for, and opening the card. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type InstallProgress, installNpmComponent } from '../../basics/npm-component.ts';
import type { ComponentState } from '../../contract/components.ts';
import { componentsFolder } from '../../contract/data-folder.ts';
import type { Gpu, GpuAdapter } from './dawn.ts';

export const webGpuVersion = '0.6.2';

/** Bytes of the installed folder, measured: Dawn for five systems, which come in one package. */
export const webGpuBytes = 138_000_000;

const lockFile = fileURLToPath(new URL('../../../resources/webgpu/package-lock.json', import.meta.url));

/** Folder that the component is, or would be, installed in. */
export function webGpuFolder(components: string = componentsFolder()): string {
  return join(components, `webgpu-${webGpuVersion}`);
}

/** The component's folder, or null when it is not installed. */
export function findWebGpu(components: string = componentsFolder()): string | null {
  const folder = webGpuFolder(components);
  return existsSync(join(folder, 'node_modules', 'webgpu', 'index.js')) ? folder : null;
}

/** Installs the component and returns its folder; one that is there already is left as it is. */
export function installWebGpu(
  onProgress?: InstallProgress,
  signal?: AbortSignal,
  components: string = componentsFolder(),
): Promise<string> {
  return installNpmComponent(
    {
      name: 'WebGPU',
      dependencies: { webgpu: webGpuVersion },
      lockFile,
      bytes: webGpuBytes,
      folder: webGpuFolder(components),
      find: () => findWebGpu(components),
    },
    onProgress,
    signal,
  );
}

export function webGpuState(components: string = componentsFolder()): ComponentState {
  return {
    name: 'webgpu',
    purpose: 'trains on a graphics card',
    version: webGpuVersion,
    package: 'webgpu',
    installed: findWebGpu(components) !== null,
    folder: webGpuFolder(components),
    bytes: webGpuBytes,
    obstacle: null,
  };
}

/** Deletes the component and what was learnt of cards; nothing happens where it is not installed. */
export async function removeWebGpu(components: string = componentsFolder()): Promise<void> {
  await rm(webGpuFolder(components), { recursive: true, force: true });
}

/** For so long Dawn may ask for events without a pause, in milliseconds. */
const eagerFor = 2;

/**
 * Dawn asks for its events with `setImmediate`, over and over: while a card computes, a core of the processor did nothing else. After two milliseconds of a wait it asks once
 * a millisecond. Its functions have no text, as native and bound ones have none; those of JavaScript have one and never wait.
 */
function makePatient(): void {
  const immediately = globalThis.setImmediate;
  let began = 0;
  /** Dawn asks again from within the call that it asked for; whatever else begins a wait. */
  let asking = false;
  const patient = (callback: (...values: unknown[]) => void, ...values: unknown[]): unknown => {
    if (!Function.prototype.toString.call(callback).endsWith('{ [native code] }'))
      return immediately(callback, ...values);
    const now = performance.now();
    if (!asking) began = now;
    const ask = (): void => {
      asking = true;
      try {
        callback(...values);
      } finally {
        asking = false;
      }
    };
    return now - began < eagerFor ? immediately(ask) : setTimeout(ask, 1);
  };
  Object.defineProperties(patient, Object.getOwnPropertyDescriptors(immediately));
  Object.assign(globalThis, { setImmediate: patient });
}

/** Dawn's instance; it lives as long as the process, and what it made dies with it. */
let instance: Gpu | undefined;

/** The system's fastest card, or null where there is none or no driver. */
export async function requestCard(folder: string): Promise<GpuAdapter | null> {
  if (!instance) {
    const file = join(folder, 'node_modules', 'webgpu', 'index.js');
    const { create } = (await import(pathToFileURL(file).href)) as { create(options: string[]): Gpu };
    makePatient();
    instance = create([]);
  }
  return instance.requestAdapter({ powerPreference: 'high-performance' });
}
