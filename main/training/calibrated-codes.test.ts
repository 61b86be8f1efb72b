/** GPTQ and AWQ beside NumPy (main/models/golden/make-calibration.py), and the latent weights that carry their codes. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../native/index.ts';
import { Random } from '../basics/random.ts';
import type { Quantisation } from '../contract/quantisation.ts';
import { openSafetensors, type SafetensorsFile } from '../formats/safetensors/index.ts';
import { quantiseMatrix } from '../models/ternary-weights.ts';
import {
  channelScales,
  type Codes,
  gptqCodes,
  InputMoments,
  latentsOf,
  type Matrix,
  nearestCodes,
  withScaledColumns,
} from './calibrated-codes.ts';

const golden = fileURLToPath(new URL('../models/golden/calibration.safetensors', import.meta.url));
const groups: readonly Quantisation['weights']['group'][] = ['tensor', 'row', 64];
const quantisation = (group: Quantisation['weights']['group']): Quantisation => ({
  weights: { scale: 'absmean', group },
});

let file: SafetensorsFile;
let matrix: Matrix;
let inputs: Float32Array;
let moments: InputMoments;

async function read(name: string): Promise<Float32Array> {
  const size = file.tensors.get(name)!.shape.reduce((product, dimension) => product * dimension, 1);
  const values = new Float32Array(size);
  await file.readFloat32(name, values);
  return values;
}
/** Without the sign of a zero. */
const unsigned = (values: Float32Array): Float32Array => values.map((value) => value + 0);
function expectClose(found: ArrayLike<number>, wanted: Float32Array, tolerance: number): void {
  expect(found.length).toBe(wanted.length);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = wanted.reduce((most, value, at) => Math.max(most, Math.abs(found[at]! - value)), 0);
  expect(worst).toBeLessThanOrEqual(tolerance * largest);
}
async function expectCodes(found: Codes, name: string): Promise<void> {
  expect(found.values).toEqual(await read(`${name}.codes`));
  expectClose(found.scales, await read(`${name}.scales`), 1e-7);
  expectClose([found.error], await read(`${name}.error`), 1e-5);
}

beforeAll(async () => {
  file = await openSafetensors(golden);
  matrix = { values: await read('w'), shape: [24, 128] };
  inputs = await read('x');
  moments = new InputMoments(128);
  for (let row = 0; row < 160; row += 40) moments.add(inputs.subarray(row * 128, (row + 40) * 128));
});
afterAll(() => file.close());

describe('codes beside NumPy', () => {
  it('have the second moments of the inputs', async () => {
    expectClose(moments.hessian, await read('hessian'), 1e-6);
    expectClose(moments.sizes, await read('sizes'), 1e-6);
  });

  it.each(groups)('GPTQ, a scale for each %s: the same codes, scales and error', async (group) => {
    const [found] = gptqCodes([matrix], moments, quantisation(group), 0.01);
    await expectCodes(found!, `gptq.${group}`);
    const one = nearestCodes(matrix, moments, quantisation(group));
    await expectCodes(one, `nearest.${group}`);
    expect(found!.error).toBeLessThan(0.7 * one.error);
  });

  it.each(groups)('AWQ, a scale for each %s: the same channel scales, codes, scales and error', async (group) => {
    const scales = channelScales([matrix], moments, quantisation(group));
    expectClose(scales, await read(`awq.${group}.channels`), 1e-6);
    expect(new Set(scales).size).toBeGreaterThan(100);
    const multiplied = withScaledColumns(matrix, scales);
    const found = nearestCodes(multiplied, moments.dividedBy(scales), quantisation(group));
    await expectCodes(found, `awq.${group}`);
    expect(found.error).toBeLessThan(nearestCodes(matrix, moments, quantisation(group)).error);
  });
});

describe('the formulas that BitDistill’s released code calls GPTQ and AWQ', () => {
  it.each([
    ['deviation', 'tensor'],
    ['row-levels', 'row'],
  ] as const)('%s: the same codes and scales', async (scale, group) => {
    const found = quantiseMatrix(matrix.values, matrix.shape, { weights: { scale, group } });
    expectClose(found.scales, await read(`${scale}.scales`), group === 'row' ? 0 : 1e-6);
    expect(unsigned(found.values)).toEqual(await read(`${scale}.codes`));
  });

  it('give the same bits with any number of threads, and a matrix that diverged shows', () => {
    const random = new Random(9);
    const values = Float32Array.from({ length: 300 * 200 }, () => random.normal());
    for (const [scale, count] of [
      ['deviation', 1],
      ['row-levels', 300],
    ] as const) {
      const of = (threads: number, weights = values) => {
        native.setThreads(threads);
        const scales = new Float32Array(count);
        const out = new Float32Array(weights.length);
        return [native.quantiseTernary(weights, out, { scales, scale, columns: 200 }), scales, out] as const;
      };
      expect(of(3)).toEqual(of(1));
      native.setThreads(1);
      const diverged = values.slice();
      diverged[777] = NaN;
      expect(of(1, diverged)[0].delta).toBeNaN();
    }
    const out = new Float32Array(12);
    expect(() => native.quantiseTernary(new Float32Array(12), out, { scale: 'deviation', columns: 5 })).toThrow(
      RangeError,
    );
    expect(() => native.quantiseTernary(new Float32Array(12), out, { scale: 'deviation' })).toThrow(TypeError);
  });
});

describe('latent weights', () => {
  it.each(groups)('make exactly their codes and scales again, a scale for each %s', (group) => {
    for (const found of [
      gptqCodes([matrix], moments, quantisation(group), 0.01)[0]!,
      nearestCodes(matrix, moments, quantisation(group)),
    ]) {
      const again = quantiseMatrix(latentsOf(matrix, found), matrix.shape, quantisation(group));
      expect(unsigned(again.values)).toEqual(found.values);
      if (group === 'tensor') expectClose(again.scales, found.scales, 1e-7);
      else expect(again.scales).toEqual(found.scales);
    }
  });

  it('keep their distance from the thresholds, and do so where codes have left their weights', () => {
    const random = new Random(3);
    const values = Float32Array.from({ length: 256 }, () => random.normal());
    // Codes that have nothing to do with the weights, and a row in which nothing is left.
    const codes = {
      values: values.map((_, at) => (at >= 64 && at < 128 ? 0 : random.below(3) - 1)),
      scales: Float32Array.of(0.25, 0.5, 1, 2),
      error: 0,
    };
    const shape = [4, 64] as const;
    const latents = latentsOf({ values, shape }, codes);
    expect(unsigned(quantiseMatrix(latents, shape, quantisation('row')).values)).toEqual(codes.values);
    for (const [at, latent] of latents.entries()) {
      const bins = Math.abs(latent) / codes.scales[Math.floor(at / 64)]!;
      if (codes.values[at] === 0) expect(bins).toBeLessThan(0.451);
      else expect(bins).toBeGreaterThan(0.549);
    }
  });
});

describe('the native functions', () => {
  it('give the same bits with any number of threads', () => {
    const of = (threads: number) => {
      native.setThreads(threads);
      const found = new InputMoments(128);
      found.add(inputs);
      const factor = new Float64Array(128 * 128);
      native.inverseFactor(found.hessian, 0.01, factor);
      return [found.hessian, found.sizes, factor, gptqCodes([matrix], found, quantisation('row'), 0.01)];
    };
    const alone = of(1);
    expect(of(3)).toEqual(alone);
    native.setThreads(1);
  });

  it('invert: U U^-1 is one, and inputs that say nothing leave the weights to be rounded one by one', () => {
    const size = 128;
    const factor = new Float64Array(size * size);
    native.inverseFactor(moments.hessian, 0.5, factor);
    const mean = Array.from({ length: size }, (_, i) => moments.hessian[i * size + i]!).reduce((a, b) => a + b) / size;
    const damped = (i: number, j: number): number =>
      moments.hessian[Math.min(i, j) * size + Math.max(i, j)]! + (i === j ? 0.5 * mean : 0);
    // (U'U) H = 1, looked at in a few rows.
    for (const row of [0, 17, 127])
      for (const column of [0, 17, 90, 127]) {
        let sum = 0;
        for (let k = 0; k < size; k += 1) {
          let inverse = 0;
          for (let i = 0; i <= Math.min(row, k); i += 1) inverse += factor[i * size + row]! * factor[i * size + k]!;
          sum += inverse * damped(k, column);
        }
        expect(sum).toBeCloseTo(row === column ? 1 : 0, 9);
      }
    const silent = new InputMoments(size);
    const [found] = gptqCodes([matrix], silent, quantisation('tensor'), 0.01);
    const first = nearestCodes(matrix, silent, quantisation('tensor'));
    expect(found!.values).not.toEqual(new Float32Array(found!.values.length));
    expect(first.values).toEqual(quantiseMatrix(matrix.values, matrix.shape, quantisation('tensor')).values);
  });

  it('refuse what does not fit together', () => {
    const square = new Float64Array(4);
    const out = new Float32Array(4);
    expect(() => native.accumulateMoments(new Float32Array(3), square, new Float64Array(2))).toThrow(RangeError);
    expect(() => native.accumulateMoments(new Float32Array(4), square, new Float64Array(3))).toThrow(RangeError);
    expect(() => native.inverseFactor(new Float64Array(3), 0.01, square)).toThrow(RangeError);
    expect(() => native.inverseFactor(Float64Array.of(NaN, 0, 0, 1), 0.01, square)).toThrow(RangeError);
    expect(() => native.inverseFactor(square, 0, square)).toThrow(RangeError);
    for (const round of [native.roundInOrder, native.roundNearest]) {
      const errors = new Float64Array(2);
      expect(() => round(new Float32Array(4), square, new Float32Array(1), out, errors)).toThrow(RangeError);
      expect(() => round(new Float32Array(4), square, Float32Array.of(1, 1, 1), out, errors)).toThrow(RangeError);
      expect(() => round(new Float32Array(6), square, Float32Array.of(1), out, errors)).toThrow(RangeError);
      expect(() => round(new Float32Array(4), square, Float32Array.of(1), out, new Float64Array(1))).toThrow(
        RangeError,
      );
    }
  });
});
