/** What the training engine finds on this machine; asked in a worker so that the workbench never loads the engine. */
import { createRequire } from 'node:module';
import '../basics/no-telemetry.ts';
import { listSupportedBackends } from 'onnxruntime-node';
import type { RuntimeProbe } from '../contract/queries.ts';
import { findCard } from '../pipeline/engine.ts';
import { availableKernels } from '../pipeline/inspect/kernels.ts';

/** Execution providers of onnxruntime-node and its version, the kernels of our own runtime, and the graphics card. */
export async function probeRuntime(): Promise<RuntimeProbe> {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return {
    onnxruntime: version,
    kernels: availableKernels(),
    executionProviders: listSupportedBackends().map(({ name, bundled }) => ({ name, bundled })),
    card: await findCard(),
  };
}
