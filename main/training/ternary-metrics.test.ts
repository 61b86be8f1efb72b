import { describe, expect, it } from 'vitest';
import { type ModelConfiguration, plainDecoder } from '../models/configuration.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { Random } from '../basics/random.ts';
import { TernaryMetrics } from './ternary-metrics.ts';

const configuration: ModelConfiguration = {
  ...plainDecoder,
  architecture: 'qwen3',
  vocabSize: 32,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 8,
  ffnSize: 32,
  rmsNormEpsilon: 1e-6,
  ropeTheta: 1e4,
  maxPositions: 64,
  tiedEmbeddings: true,
  qkNorm: 'head',
  ternary: true,
  subln: 'paper',
};

async function network(ternary = true, changes: Partial<ModelConfiguration> = {}): Promise<Network> {
  const own = { ...configuration, ...changes, ternary, subln: ternary ? configuration.subln : ('none' as const) };
  const random = new Random(7);
  return Network.create(
    own,
    initialParameters(own, () => random.normal()),
    { threads: 1, mode: 'training' },
  );
}
function valuesOfLayer(model: Network, layer: number): number[] {
  return model.parameters.specifications
    .filter((each) => each.ternary && each.layer === layer)
    .flatMap(({ name }) => [...model.ternary(name).values]);
}
const share = (values: readonly number[], wanted: number): number =>
  values.filter((value) => value === wanted).length / values.length;

describe('metrics of the ternary weights', () => {
  it('are the shares of -1, 0 and +1 in each layer', async () => {
    const model = await network();
    const found = new TernaryMetrics(model, 1).after(1, model.refreshTernary());
    for (const layer of [0, 1]) {
      const values = valuesOfLayer(model, layer);
      expect(found[`ternary/${layer}/negative`]).toBe(share(values, -1));
      expect(found[`ternary/${layer}/zero`]).toBe(share(values, 0));
      expect(found[`ternary/${layer}/positive`]).toBe(share(values, 1));
    }
    const all = [...valuesOfLayer(model, 0), ...valuesOfLayer(model, 1)];
    expect(found['zero-fraction']).toBeCloseTo(share(all, 0), 12);
    await model.release();
  });

  it('say what an n:m rule does: codes that are 0 by it alone, and weights that it begins or ceases to keep', async () => {
    const weights = { scale: 'absmean', group: 'tensor', sparsity: '2:4' } as const;
    const [sparse, dense] = [await network(true, { quantisation: { weights } }), await network()];
    const metrics = new TernaryMetrics(sparse, 3);
    const found = metrics.after(1, sparse.refreshTernary());
    const codes = [0, 1].flatMap((layer) => valuesOfLayer(dense, layer));
    const kept = [0, 1].flatMap((layer) => valuesOfLayer(sparse, layer));
    expect(found['masked-fraction']).toBeCloseTo(share(kept, 0) - share(codes, 0), 12);
    expect(found['masked-fraction']).toBeGreaterThan(0.1);
    expect(found['mask-flip-rate']).toBe(0);
    // The smallest of a group becomes the largest: it comes in, and one that was kept goes out.
    const { name } = sparse.parameters.specifications.find(({ ternary }) => ternary)!;
    const latent = sparse.parameters.view(name);
    const smallest = [0, 1, 2, 3].sort((a, b) => Math.abs(latent[a]!) - Math.abs(latent[b]!))[0]!;
    latent[smallest] = 9;
    const after = metrics.after(2, sparse.refreshTernary());
    expect(after['mask-flip-rate']).toBeCloseTo(2 / kept.length, 12);
    expect(new TernaryMetrics(dense, 1).after(1, dense.refreshTernary())).not.toHaveProperty('masked-fraction');
    await sparse.release();
    await dense.release();
  });

  it('count the weights that are not what they were when the stage began, however often they changed', async () => {
    const model = await network();
    const metrics = new TernaryMetrics(model, 3);
    model.markTernary();
    const { name } = model.parameters.specifications.find(({ ternary }) => ternary)!;
    const latent = model.parameters.view(name);
    const before = model.ternary(name).values.slice();
    const original = latent.slice();
    for (let index = 0; index < 5; index += 1) latent[index] = -3 * latent[index]!;
    const found = metrics.after(1, model.refreshTernary());
    const moved = model.ternary(name).values.filter((value, index) => value !== before[index]).length;
    expect(moved).toBeGreaterThan(2);
    const total = model.parameters.specifications.reduce((sum, { size, ternary }) => sum + (ternary ? size : 0), 0);
    expect(found['moved-fraction']).toBeCloseTo(moved / total, 12);
    latent.set(original);
    expect(metrics.after(2, model.refreshTernary())['moved-fraction']).toBe(0);
    await model.release();
  });

  it('count flips per step, averaged over the steps since the last report', async () => {
    const model = await network();
    const metrics = new TernaryMetrics(model, 240);
    const { name } = model.parameters.specifications.find((each) => each.ternary && each.layer === 1)!;
    const matrix = model.parameters.view(name);
    const before = valuesOfLayer(model, 1);
    expect(Object.keys(metrics.after(1, model.refreshTernary()))).toEqual(['flip-rate', 'zero-fraction']);
    for (let index = 0; index < 10; index += 1) matrix[index] = -matrix[index]!;
    const found = metrics.after(2, model.refreshTernary());
    const after = valuesOfLayer(model, 1);
    const flipped = before.filter((value, index) => value !== after[index]).length / before.length;
    expect(flipped).toBeGreaterThan(0);
    expect(found['ternary/0/flip-rate']).toBe(0);
    expect(found['ternary/1/flip-rate']).toBeCloseTo(flipped / 2, 12);
    await model.release();
  });

  it('come about 120 times in a stage, and with its last step', async () => {
    const model = await network();
    const metrics = new TernaryMetrics(model, 1000);
    const reported = Array.from({ length: 1000 }, (_, index) => index + 1).filter(
      (step) => 'ternary/0/zero' in metrics.after(step, model.refreshTernary()),
    );
    expect(reported.length).toBe(112);
    expect(reported.at(-1)).toBe(1000);
    await model.release();
  });

  it('say nothing of a full-precision model', async () => {
    const model = await network(false);
    expect(new TernaryMetrics(model, 1).after(1, model.refreshTernary())).toEqual({});
    await model.release();
  });
});
