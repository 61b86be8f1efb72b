/** One layer of a model's own shape on a card and on the processor, before the card trains it: the operations were checked on small shapes alone. */
import { Random } from '../basics/random.ts';
import type { Backend, EngineOptions } from '../graph/backend.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import type { TernaryArithmetic } from '../models/decoder-layer.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, windowSpecifications } from '../models/parameters.ts';
import { startLearnedScales } from '../models/ternary-weights.ts';

/** More than one block of the card's attention, and part of another. */
const batch = { batch: 2, length: 40 };

/**
 * What rounding may do to a tensor, `|a - b| / |b|`. Where inputs are rounded to int8, the last digit of a float32 number decides now and then for a
 * neighbouring whole number.
 */
const most = { dense: 1e-4, ternary: 5e-3 } as const;

/** `|found - expected| / |expected|` of whole tensors; infinite where one is no number. */
function relativeDistance(expected: Float32Array, found: Float32Array): number {
  let off = 0;
  let size = 0;
  for (let index = 0; index < expected.length; index += 1) {
    off += (found[index]! - expected[index]!) ** 2;
    size += expected[index]! ** 2;
  }
  const distance = Math.sqrt(off / Math.max(size, 1e-30));
  return Number.isFinite(distance) ? distance : Infinity;
}

/** What a layer gives, and its gradients, from random weights and states; the same on every backend. */
async function layerValues(
  configuration: ModelConfiguration,
  options: Pick<EngineOptions, 'threads' | 'backend'>,
  arithmetic: TernaryArithmetic,
): Promise<Map<string, Float32Array<ArrayBufferLike>>> {
  const random = new Random(5);
  const one = { ...configuration, layers: 1 };
  const parameters = new ParameterBuffer(windowSpecifications(configuration, 0, 1));
  for (const { name, shape } of parameters.specifications) {
    const values = parameters.view(name);
    for (let index = 0; index < values.length; index += 1)
      values[index] = shape.length === 1 ? 1 + 0.1 * random.normal() : 0.02 * random.normal();
  }
  startLearnedScales(parameters);
  const states = (): Float32Array =>
    new Float32Array(batch.batch * batch.length * configuration.hiddenSize).map(() => random.normal());
  const network = await Network.create(one, parameters, { ...options, mode: 'training', arithmetic });
  try {
    const gradients = new ParameterBuffer(parameters.specifications);
    const { hidden } = await network.forward({ ...batch, hidden: states() });
    const values = new Map([['its values', hidden.slice()]]);
    await network.backward(states(), gradients, false);
    await network.collectGradients(gradients);
    // Those of learned scales follow from their matrix's on the processor.
    for (const { name, local, scaleOf } of gradients.specifications)
      if (scaleOf === null) values.set(`the gradient of ${local}`, gradients.view(name).slice());
    return values;
  } finally {
    await network.release();
  }
}

/** How far a layer of this shape is off on a card, `|a - b| / |b|` of what it gives and of the gradient of each parameter. */
export async function layerDistances(
  configuration: ModelConfiguration,
  backend: Backend,
  threads: number,
  arithmetic: TernaryArithmetic = {},
): Promise<Map<string, number>> {
  const expected = await layerValues(configuration, { threads }, arithmetic);
  const found = await layerValues(configuration, { threads, backend }, arithmetic);
  return new Map([...expected].map(([name, values]) => [name, relativeDistance(values, found.get(name)!)]));
}

/** What a card computes wrongly in a layer of this shape; null: nothing. */
export async function layerProblem(
  configuration: ModelConfiguration,
  backend: Backend,
  threads: number,
  arithmetic: TernaryArithmetic = {},
): Promise<string | null> {
  const allowed = configuration.ternary ? most.ternary : most.dense;
  for (const [name, distance] of await layerDistances(configuration, backend, threads, arithmetic))
    if (!(distance < allowed)) return `${name} differ by ${distance.toExponential(1)} of their size`;
  return null;
}
