import { describe, expect, it } from 'vitest';
import { availableKernels, hadamard, type KernelName, TernaryMatrix } from './runtime.ts';

/** docs/method.md, 2.2, 2.3 and 2.9, one scalar at a time; every step is rounded to float32. */
function byDefinition(
  weights: Int8Array,
  rows: number,
  columns: number,
  /** `[rows, groups]`. */
  scales: Float32Array,
  x: Float32Array,
  tokens: number,
  bits: 8 | 4 = 8,
) {
  const f = Math.fround;
  const groups = scales.length / rows;
  const y = new Float32Array(tokens * rows);
  const xi = new Int32Array(columns);
  for (let t = 0; t < tokens; t++) {
    let gamma = f(1e-5);
    const row = x.subarray(t * columns, (t + 1) * columns);
    if (bits === 8) for (const value of row) gamma = Math.max(gamma, Math.abs(value));
    else {
      // Sums of every 16th value in float32, added in double.
      const lanes = new Float32Array(16);
      row.forEach((value, k) => (lanes[k % 16] = lanes[k % 16]! + Math.abs(value)));
      gamma = Math.max(gamma, f(lanes.reduce((sum, lane) => sum + lane, 0) / columns));
    }
    const [units, least, most] = bits === 8 ? [127, -128, 127] : [f(Math.sqrt(7)), -8, 7];
    const scale = f(units / gamma);
    for (let k = 0; k < columns; k++) {
      const value = f(x[t * columns + k]! * scale);
      const floor = Math.floor(value);
      const rounded = value - floor === 0.5 ? floor + (floor & 1) : Math.round(value);
      xi[k] = Math.max(least, Math.min(most, rounded));
    }
    for (let r = 0; r < rows; r++)
      for (let group = 0; group < groups; group++) {
        let sum = 0;
        for (let k = (group * columns) / groups; k < ((group + 1) * columns) / groups; k++)
          sum += xi[k]! * weights[r * columns + k]!;
        const value = f(f(sum) * f(f(gamma / units) * scales[r * groups + group]!));
        y[t * rows + r] = group === 0 ? value : f(y[t * rows + r]! + value);
      }
  }
  return y;
}

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const shapes = [
  [1, 1],
  [1, 128],
  [3, 7],
  [31, 129],
  [32, 256],
  [33, 79],
  [65, 1000],
  [100, 1536],
  [7, 2560],
  [5, 4096],
  [40, 16384],
] as const;

const cases = {
  'random weights and activations': (next: () => number, weights: Int8Array, x: Float32Array) => {
    weights.forEach((_, i) => (weights[i] = Math.floor(next() * 3) - 1));
    x.forEach((_, i) => (x[i] = (next() - 0.5) * 10 ** Math.floor(next() * 6 - 3)));
  },
  'all +1 times all 127, where int16 sums wrap': (_next: () => number, weights: Int8Array, x: Float32Array) => {
    weights.fill(1);
    x.fill(3.3);
  },
  'all -1 times all -127': (_next: () => number, weights: Int8Array, x: Float32Array) => {
    weights.fill(-1);
    x.fill(-0.7);
  },
  'ties at one half, signed zeros and a token of zeros': (next: () => number, weights: Int8Array, x: Float32Array) => {
    weights.forEach((_, i) => (weights[i] = (i % 3) - 1));
    x.forEach((_, i) => (x[i] = i % 11 === 0 ? -0 : (Math.floor(next() * 255) - 127) / 2));
    x[0] = 127;
    x.fill(0, Math.floor(x.length / 2));
  },
};

/** Sets one of each four weights to 0, and the others to -1 or 1 where they are 0. */
function exactlyThree(weights: Int8Array, next: () => number): void {
  for (let four = 0; four < weights.length; four += 4) {
    const zero = Math.floor(next() * 4);
    for (let i = 0; i < 4; i += 1) {
      const at = four + i;
      if (i === zero) weights[at] = 0;
      else if (weights[at] === 0) weights[at] = next() < 0.5 ? -1 : 1;
    }
  }
}

/** Of matrices with scales for each row, or group of columns, and inputs of each kind: every product is the scalar definition's. */
function expectExact(
  { kernel, layout }: { kernel: KernelName; layout: '2bit' | '1.6bit' | '1.25bit' },
  matrices: readonly (readonly [rows: number, columns: number, groups: number])[],
  tokenCounts: readonly number[],
): void {
  for (const [name, fill] of Object.entries(cases))
    for (const [rows, columns, groups] of matrices)
      for (const tokens of tokenCounts) {
        const weights = new Int8Array(rows * columns);
        const x = new Float32Array(tokens * columns);
        const next = random(rows * columns + tokens);
        fill(next, weights, x);
        if (layout === '1.25bit') exactlyThree(weights, next);
        const scales = new Float32Array(rows * groups).map(() => 0.01 + next());
        const threads = tokens % 2 === 0 ? 2 : 1;
        const matrix = new TernaryMatrix(weights, { rows, columns, scales, kernel, layout, threads });
        const y = new Float32Array(tokens * rows).fill(NaN);
        matrix.multiply(x, y, tokens);
        const expected = byDefinition(weights, rows, columns, scales, x, tokens);
        const at = y.findIndex((v, i) => v !== expected[i]);
        if (at >= 0)
          expect({ name, rows, columns, groups, tokens, at, found: y[at] }).toEqual({ expected: expected[at] });
      }
}

describe.each(availableKernels())('%s', (kernel) => {
  it('equals the scalar definition exactly with 1.25-bit weights, whatever their scales', () => {
    const matrices = [
      [1, 4, 1],
      [3, 60, 1],
      [32, 64, 1],
      [33, 68, 1],
      [65, 1000, 1],
      [100, 1536, 1],
      [70, 576, 9],
      [100, 1536, 24],
      [40, 1536, 6],
      // Groups that are no whole chunks lie in 2 bits.
      [33, 96, 3],
      [5, 16384, 1],
    ] as const;
    expectExact({ kernel, layout: '1.25bit' }, matrices, [1, 2, 4, 7, 12, 13, 25]);
  });

  it.each(['2bit', '1.6bit'] as const)('equals the scalar definition exactly with %s weights', (layout) => {
    for (const [name, fill] of Object.entries(cases))
      for (const [rows, columns] of shapes)
        for (const tokens of rows * columns > 100_000 ? [1, 5, 13] : [1, 2, 3, 4, 7, 12, 13, 25]) {
          const weights = new Int8Array(rows * columns);
          const x = new Float32Array(tokens * columns);
          fill(random(rows * columns + tokens), weights, x);
          const delta = 0.0371;
          const matrix = new TernaryMatrix(weights, {
            rows,
            columns,
            delta,
            kernel,
            layout,
            threads: tokens % 2 === 0 ? 2 : 1,
          });
          const y = new Float32Array(tokens * rows).fill(NaN);
          matrix.multiply(x, y, tokens);
          const expected = byDefinition(weights, rows, columns, new Float32Array(rows).fill(delta), x, tokens);
          const at = y.findIndex((v, i) => v !== expected[i]);
          if (at >= 0) expect({ name, rows, columns, tokens, at, found: y[at] }).toEqual({ expected: expected[at] });
        }
  });

  it('so it does with inputs of 4 bits', () => {
    for (const [name, fill] of Object.entries(cases))
      for (const [rows, columns] of [
        [3, 7],
        [33, 79],
        [100, 1536],
      ] as const)
        for (const tokens of [1, 4, 13]) {
          const weights = new Int8Array(rows * columns);
          const x = new Float32Array(tokens * columns);
          fill(random(rows * columns + tokens), weights, x);
          const matrix = new TernaryMatrix(weights, { rows, columns, delta: 0.3, kernel, bits: 4 });
          const y = new Float32Array(tokens * rows).fill(NaN);
          matrix.multiply(x, y, tokens);
          const expected = byDefinition(weights, rows, columns, new Float32Array(rows).fill(0.3), x, tokens, 4);
          const at = y.findIndex((v, i) => v !== expected[i]);
          if (at >= 0) expect({ name, rows, columns, tokens, at, found: y[at] }).toEqual({ expected: expected[at] });
        }
  });

  it('turns by a Hadamard matrix with the same bits as plain C++, and back', () => {
    for (const [count, block] of [
      [4, 4],
      [96, 32],
      [1536, 512],
      [7, 1],
    ] as const) {
      const next = random(count);
      const x = new Float32Array(count).map(() => next() - 0.5);
      const [turned, plain] = [Float32Array.from(x), Float32Array.from(x)];
      hadamard(turned, block, kernel);
      hadamard(plain, block, 'portable');
      expect(turned).toEqual(plain);
      turned.forEach((value, at) => {
        let sum = 0;
        for (let k = 0; k < block; k++) {
          const odd = (k & (at % block)).toString(2).replaceAll('0', '').length % 2;
          sum += (odd === 0 ? 1 : -1) * x[at - (at % block) + k]!;
        }
        expect(value).toBeCloseTo(sum / Math.sqrt(block), 5);
      });
      hadamard(turned, block, kernel);
      turned.forEach((value, at) => expect(value).toBeCloseTo(x[at]!, 5));
    }
    expect(() => hadamard(new Float32Array(6), 4, kernel)).toThrow(RangeError);
    expect(() => hadamard(new Float32Array(6), 3, kernel)).toThrow(RangeError);
  });

  it.each(['2bit', '1.6bit'] as const)(
    'so it does with a scale for each row or group of columns, %s weights',
    (layout) => {
      const matrices = [
        [33, 79, 1],
        [70, 576, 1],
        [33, 48, 3],
        [100, 1536, 24],
        [40, 1536, 6],
        [5, 4096, 2],
      ] as const;
      expectExact({ kernel, layout }, matrices, [1, 3, 4, 13, 25]);
    },
  );
});

it('refuses scales that do not fit', () => {
  const make = (scales: Float32Array) => new TernaryMatrix(new Int8Array(4 * 48), { rows: 4, columns: 48, scales });
  for (const count of [1, 6, 8, 16, 24]) expect(() => make(new Float32Array(count))).toThrow(RangeError);
});

it('refuses 1.25 bits for other weights than exactly three of four', () => {
  const make = (weights: number[], columns: number) =>
    new TernaryMatrix(Int8Array.from(weights), { rows: 2, columns, layout: '1.25bit' });
  expect(() => make([1, 1, 0, 1, -1, 0, 1, 1], 4)).not.toThrow();
  expect(() => make([1, 1, 1, 1, -1, 0, 1, 1], 4)).toThrow(RangeError);
  expect(() => make([1, 0, 0, 1, -1, 0, 1, 1], 4)).toThrow(RangeError);
  expect(() => make([1, 0, 1, 1], 2)).toThrow(RangeError);
});

it('packs into 2, 1.6 and 1.25 bits per weight', () => {
  const weights = new Int8Array(64 * 1280).map((_, at) => (at % 4 === 0 ? 0 : 1));
  const bytes = (layout: '2bit' | '1.6bit' | '1.25bit') =>
    new TernaryMatrix(weights, { rows: 64, columns: 1280, layout }).bytes;
  expect(bytes('2bit')).toBe((64 * 1280) / 4);
  expect(bytes('1.6bit')).toBe((64 * 1280) / 5);
  expect(bytes('1.25bit')).toBe((64 * 1280 * 5) / 32);
});
