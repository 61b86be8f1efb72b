/** Calibrated SubLN: the weight of a new norm is the root mean square of what enters it. */
import { hasSubln, type ModelConfiguration, type Projection } from '../../models/configuration.ts';
import type { Network } from '../../models/network.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import type { MicroBatch } from '../../training/training-step.ts';

/** Mean root mean square of what enters each projection over the valid tokens, keyed `layer.projection`. */
async function projectionScales(network: Network, batches: readonly MicroBatch[]): Promise<Map<string, number>> {
  const sums = new Map<string, { total: number; tokens: number }>();
  for (const micro of batches)
    await network.forward(micro, undefined, (layer, inputs) => {
      for (const [projection, values] of inputs) {
        const width = values.length / (micro.batch * micro.length);
        const sum = sums.get(`${layer}.${projection}`) ?? { total: 0, tokens: 0 };
        micro.lengths.forEach((valid, row) => {
          for (let token = 0; token < valid; token += 1) {
            const start = (row * micro.length + token) * width;
            let squares = 0;
            for (let index = start; index < start + width; index += 1) squares += values[index]! ** 2;
            sum.total += Math.sqrt(squares / width);
          }
          sum.tokens += valid;
        });
        sums.set(`${layer}.${projection}`, sum);
      }
    });
  return new Map([...sums].map(([key, { total, tokens }]) => [key, total / tokens]));
}

/**
 * Sets every SubLN weight to the scale of the activations at its place, so that the model changes as little as a norm allows.
 * @param parameters of the student, whose SubLN weights are written
 * @param network the same model in full precision without SubLN
 * @param batches what it looks at
 */
export async function calibrateSubln(
  parameters: ParameterBuffer,
  configuration: ModelConfiguration,
  network: Network,
  batches: readonly MicroBatch[],
): Promise<void> {
  const scales = await projectionScales(network, batches);
  for (const { name, local, layer } of parameters.specifications) {
    if (!local.endsWith('.subln')) continue;
    const projection = local.slice(0, -'.subln'.length) as Projection;
    if (hasSubln(configuration, projection)) parameters.view(name).fill(scales.get(`${layer}.${projection}`) ?? 1);
  }
}
