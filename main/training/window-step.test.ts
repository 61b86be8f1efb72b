/** Window reconstruction (docs/method.md, 3.1): its loss against finite differences, a whole step against PyTorch. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { openSafetensors } from '../formats/safetensors/index.ts';
import { parseConfiguration } from '../models/architectures/index.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, windowSpecifications } from '../models/parameters.ts';
import { relativeError } from './relative-error.ts';
import { type WindowBatch, WindowStep } from './window-step.ts';

const golden = fileURLToPath(new URL('../models/golden/', import.meta.url));

describe('the relative error of a window', () => {
  const random = new Random(9);
  const draw = (count: number, scale = 1): Float32Array =>
    Float32Array.from({ length: count }, () => scale * random.normal());
  const shape = { batch: 2, length: 3, lengths: [3, 2] };
  const targets = draw(2 * 3 * 4);
  // One token whose states are a hundred times as large.
  for (let at = 4; at < 8; at += 1) targets[at]! *= 100;
  const output = targets.map((value) => value + 0.3 * random.normal());

  it('has the gradient that finite differences give, and none at padding', () => {
    const gradient = new Float32Array(output.length).fill(7);
    relativeError(output, { ...shape, targets }, 1 / 5, gradient);
    const unused = new Float32Array(output.length);
    for (const [at, value] of output.entries()) {
      const step = 2 ** -8 * Math.max(1, Math.abs(value));
      const moved = (by: number): number => {
        const other = output.slice();
        other[at] = value + by;
        return relativeError(other, { ...shape, targets }, 1 / 5, unused);
      };
      // Quadratic: central differences are exact but for rounding.
      const numeric = (moved(step) - moved(-step)) / (2 * step);
      expect(Math.abs(gradient[at]! - numeric), String(at)).toBeLessThan(2e-3 * Math.abs(numeric) + 1e-6);
    }
    expect([...gradient.subarray(20)]).toEqual([0, 0, 0, 0]);
    expect(gradient.subarray(0, 20).every((value) => value !== 0)).toBe(true);
  });

  it('counts each token by its own size', () => {
    const gradient = new Float32Array(output.length);
    const whole = relativeError(output, { ...shape, targets }, 1 / 5, gradient);
    let sum = 0;
    for (const token of [0, 1, 2, 3, 4]) {
      const own = { from: token * 4, to: token * 4 + 4 };
      const [y, t] = [output.slice(own.from, own.to), targets.slice(own.from, own.to)];
      const error = y.reduce((all, value, at) => all + (value - t[at]!) ** 2, 0);
      sum += error / t.reduce((all, value) => all + value ** 2, 0);
    }
    expect(whole).toBeCloseTo(sum / 5, 12);
  });
});

async function read(name: string) {
  const file = await openSafetensors(join(golden, `${name}.safetensors`));
  const meta = JSON.parse(file.metadata.meta!) as {
    config: object;
    lengths: number[];
    sharpness: number;
    losses: Record<'hard' | 'soft', { loss: number }>;
  };
  return { file, meta };
}

/** |a - b| / |b| (L2). */
function distance(actual: Float32Array, expected: Float32Array): number {
  let [difference, norm] = [0, 0];
  expected.forEach((value, at) => {
    difference += (actual[at]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

describe('one step of a window', () => {
  it.each(['hard', 'soft'] as const)('has the loss and the gradients of PyTorch with %s codes', async (kind) => {
    const base = await read('fp-qwen3');
    const norms = await read('ternary-qwen3-paper');
    const { file, meta } = await read('window-qwen3');
    const configuration: ModelConfiguration = {
      ...parseConfiguration(JSON.stringify(base.meta.config)),
      ternary: true,
      subln: 'paper',
    };
    const parameters = new ParameterBuffer(windowSpecifications(configuration, 0, configuration.layers));
    for (const { name, local } of parameters.specifications)
      await (local.endsWith('.subln') ? norms : base).file.readFloat32(name, parameters.view(name));
    const network = await Network.create(configuration, parameters, {
      threads: 1,
      mode: 'training',
      arithmetic: { products: 'float32' },
    });
    if (kind === 'soft') network.refreshTernary(1, meta.sharpness);
    const { lengths } = meta;
    const whole = {
      inputs: await file.readFloat32('inputs'),
      targets: await file.readFloat32('targets'),
    };
    const length = whole.inputs.length / lengths.length / configuration.hiddenSize;
    const size = length * configuration.hiddenSize;
    // Two micro-batches: the mean is over the tokens of both.
    const micro = (rows: number[]): WindowBatch => ({
      batch: rows.length,
      length,
      lengths: rows.map((row) => lengths[row]!),
      inputs: Float32Array.from(rows.flatMap((row) => [...whole.inputs.subarray(row * size, (row + 1) * size)])),
      targets: Float32Array.from(rows.flatMap((row) => [...whole.targets.subarray(row * size, (row + 1) * size)])),
    });
    const gradients = new ParameterBuffer(parameters.specifications);
    const losses = await new WindowStep(network).run(1, [micro([0, 1]), micro([2])], gradients);
    expect(losses.total / meta.losses[kind].loss).toBeCloseTo(1, 5);
    expect(losses.tokens).toBe(lengths.reduce((a, b) => a + b, 0));
    for (const { name } of parameters.specifications)
      expect(distance(gradients.view(name), await file.readFloat32(`${kind}.grad.${name}`)), name).toBeLessThan(2e-5);
    await network.release();
    for (const each of [base, norms, { file }]) await each.file.close();
  });
});
