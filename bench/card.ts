/** The graphics card of this machine, for benchmarks. */
import type { Backend } from '../main/graph/backend.ts';
import { findWebGpu, requestCard } from '../main/graph/webgpu/component.ts';
import { Device } from '../main/graph/webgpu/device.ts';
import { identityOf } from '../main/graph/webgpu/trust.ts';
import { webGpuBackend } from '../main/graph/webgpu/webgpu-backend.ts';

export interface OpenCard {
  readonly name: string;
  readonly device: Device;
  readonly backend: Backend;
}

/** @throws Error where there is none */
export async function openCard(): Promise<OpenCard> {
  const folder = findWebGpu();
  if (folder === null) throw new Error('Install WebGPU first: npm run tritsmith -- components install webgpu');
  const adapter = await requestCard(folder);
  if (!adapter)
    throw new Error('No graphics card was found, or its driver offers neither Vulkan, Metal nor Direct3D 12.');
  const { name, driver } = identityOf(adapter);
  const device = await Device.open(adapter);
  return { name: `${name} (${driver})`, device, backend: webGpuBackend(device) };
}
