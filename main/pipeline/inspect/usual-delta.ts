/** How large the weights of a model are, before it is loaded. */
import { upperMedian } from '../../basics/numbers.ts';
import { openCheckpoint } from '../../formats/safetensors/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { parameterSpecifications } from '../../models/parameters.ts';

/** Median of mean|W| over the projections of the middle layer: what `delta` will be, without reading the whole model. */
export async function usualDelta(folder: string, configuration: ModelConfiguration): Promise<number> {
  const middle = Math.floor(configuration.layers / 2);
  const checkpoint = await openCheckpoint(folder);
  try {
    const deltas: number[] = [];
    for (const { name, size, layer, decays } of parameterSpecifications(configuration)) {
      if (layer !== middle || !decays) continue;
      const values = new Float32Array(size);
      await checkpoint.readFloat32(name, values);
      deltas.push(values.reduce((sum, value) => sum + Math.abs(value), 0) / size);
    }
    return upperMedian(deltas) ?? 0;
  } finally {
    await checkpoint.close();
  }
}
