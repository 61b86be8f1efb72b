/** How large the weights of a model are, before it is loaded. */
import { upperMedian } from '../../basics/numbers.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { openModel } from '../../models/open-model.ts';
import { parameterSpecifications } from '../../models/parameters.ts';

/** Median of mean|W| over the projections of the middle layer: what `delta` will be, without reading the whole model. */
export async function usualDelta(path: string, configuration: ModelConfiguration): Promise<number> {
  const middle = Math.floor(configuration.layers / 2);
  const model = await openModel(path);
  try {
    const deltas: number[] = [];
    for (const parameter of parameterSpecifications(configuration)) {
      const { size, layer, decays } = parameter;
      if (layer !== middle || !decays) continue;
      const values = new Float32Array(size);
      await model.read(parameter, values);
      deltas.push(values.reduce((sum, value) => sum + Math.abs(value), 0) / size);
    }
    return upperMedian(deltas) ?? 0;
  } finally {
    await model.close();
  }
}
