/**
 * A graphics card for tests: SwiftShader, the software card that comes with Chromium (swift-shader.ts), under Dawn in the repository's cache. So every machine computes
 * the same; `TRITSMITH_TEST_CARD=own` takes the machine's own card instead.
 */
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '../graph/backend.ts';
import { installWebGpu, requestCard } from '../graph/webgpu/component.ts';
import { Device } from '../graph/webgpu/device.ts';
import { webGpuBackend } from '../graph/webgpu/webgpu-backend.ts';
import { findSwiftShader } from './swift-shader.ts';

const cache = fileURLToPath(new URL('../../.cache/components', import.meta.url));
/** Holds the component's folder, or nothing where there is no card, for the processes that run test files. */
const variable = 'TRITSMITH_TEST_WEBGPU';

/** Title of tests that are skipped without it. */
export const needsCard = '(skipped where neither SwiftShader nor a Vulkan driver is found)';

/** The component's folder, or null: then the tests that need it are skipped. */
export function webGpuForTests(): string | null {
  return process.env[variable] || null;
}

/** The card, and the backend on it. */
export async function cardForTests(): Promise<{ device: Device; backend: Backend }> {
  const adapter = await requestCard(webGpuForTests()!);
  if (!adapter) throw new Error('the card that was there when the tests began is gone');
  const device = await Device.open(adapter);
  return { device, backend: webGpuBackend(device) };
}

/** Vitest calls this before all tests. */
export default async function setup(): Promise<void> {
  try {
    const folder = await installWebGpu(undefined, AbortSignal.timeout(600_000), cache);
    const swiftShader = process.env['TRITSMITH_TEST_CARD'] === 'own' ? null : findSwiftShader();
    if (swiftShader !== null) {
      // Dawn looks for Vulkan's loader beside itself too.
      const beside = join(folder, 'node_modules/webgpu/dist', `${process.platform}-${process.arch}`, 'libvulkan.so.1');
      rmSync(beside, { force: true });
      symlinkSync(join(swiftShader, 'libvulkan.so.1'), beside);
      process.env['VK_ICD_FILENAMES'] = join(swiftShader, 'vk_swiftshader_icd.json');
    }
    if (await requestCard(folder)) process.env[variable] = folder;
    else
      process.stdout.write(
        'Tests on a graphics card are skipped: no Vulkan driver was found (apt-get install chromium-common brings SwiftShader, which needs no card).\n',
      );
  } catch (error) {
    process.stdout.write(`Tests on a graphics card are skipped: ${String(error)}\n`);
  }
}
