import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { type AdamWSettings, type ByteMoments, momentBlock, native } from './index.ts';

/** Deterministic values in (-1, 1), with a few of every special size. */
function values(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = (state / 2 ** 31 - 1) * (i % 97 === 0 ? 20 : 1);
  }
  return out;
}

const bytes = (array: Float32Array): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** Rounds half to even, as docs/method.md, 2.1 and 2.2, demands. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function quantiseByDefinition(weights: Float32Array): { delta: number; ternary: Float32Array } {
  let sum = 0;
  for (const w of weights) sum += Math.abs(w);
  const delta = Math.fround(Math.max(sum / weights.length, 1e-5));
  return { delta, ternary: weights.map((w) => Math.max(-1, Math.min(1, roundHalfEven(Math.fround(w / delta))))) };
}

afterEach(() => native.setThreads(1));

describe('transposeTernary', () => {
  it.each([
    [1, 1],
    [3, 5],
    [8, 64],
    [67, 129],
    [200, 72],
  ])('turns %i rows of %i ternary values into int8 columns, on one thread and on three', (rows, columns) => {
    const ternary = values(rows * columns, rows).map((value) => Math.sign(Math.round(value * 0.9)));
    const expected = new Int8Array(rows * columns);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) expected[column * rows + row] = ternary[row * columns + column]!;
    expect(new Set(expected).size).toBeGreaterThan(rows > 1 ? 2 : 0);
    for (const threads of [1, 3]) {
      native.setThreads(threads);
      const out = new Int8Array(rows * columns).fill(77);
      native.transposeTernary(ternary, columns, out);
      expect(out).toEqual(expected);
    }
    native.setThreads(1);
  });

  it('refuses what is no matrix of that width', () => {
    const six = new Float32Array(6);
    expect(() => native.transposeTernary(six, 4, new Int8Array(6))).toThrow(RangeError);
    expect(() => native.transposeTernary(six, 0, new Int8Array(6))).toThrow(RangeError);
    expect(() => native.transposeTernary(six, 3, new Int8Array(5))).toThrow(RangeError);
    expect(() => native.transposeTernary(six, 3, new Uint8Array(6) as unknown as Int8Array)).toThrow(TypeError);
  });
});

describe('packTernary and countMoved', () => {
  it.each([0, 1, 4, 7, 70_003])('keep %i codes and find those that changed, on one thread and on three', (count) => {
    const code = (value: number): number => (value > 0.5 ? 1 : value < -0.5 ? -1 : 0);
    const before = values(count, 3);
    const after = values(count, 4).map((value, i) => (i % 3 === 0 ? value : before[i]!));
    const moved = after.filter((value, i) => code(value) !== code(before[i]!)).length;
    if (count > 7) expect(moved).toBeGreaterThan(count / 10);
    for (const threads of [1, 3]) {
      native.setThreads(threads);
      const packed = new Uint8Array(Math.ceil(count / 4)).fill(255);
      native.packTernary(before, packed);
      expect(native.countMoved(before, packed)).toBe(0);
      expect(native.countMoved(after, packed)).toBe(moved);
      const unpacked = Array.from({ length: count }, (_, i) => ((packed[i >> 2]! >> (2 * (i % 4))) & 3) - 1);
      expect(unpacked).toEqual([...before].map(code));
    }
  });

  it('refuse buffers of another size or type', () => {
    expect(() => native.packTernary(new Float32Array(5), new Uint8Array(1))).toThrow(RangeError);
    expect(() => native.countMoved(new Float32Array(5), new Uint8Array(3))).toThrow(RangeError);
    expect(() => native.packTernary(new Float32Array(4), new Int8Array(1) as unknown as Uint8Array)).toThrow(TypeError);
  });
});

describe('softenTernary and chainSoftTernary', () => {
  const soft = (weight: number, delta: number, sharpness: number): number => {
    const out = new Float32Array(1);
    native.softenTernary(Float32Array.of(weight), Float32Array.of(delta), sharpness, out);
    return out[0]!;
  };

  it('go from the weight to its code, with the values of the formula', () => {
    const weights = [0.3, 0.6, 1.5];
    for (const [sharpness, expected] of [
      [0.01, [0.300002, 0.599998, 1.4999]],
      [6, [0.083106, 0.768532, 1.000006]],
      [30, [6e-6, 0.997527, 1]],
    ] as const)
      weights.forEach((weight, at) => {
        expect(soft(weight, 1, sharpness)).toBeCloseTo(expected[at]!, 4);
        expect(soft(-0.2 * weight, 0.2, sharpness)).toBeCloseTo(-expected[at]!, 4);
      });
  });

  it('are the formula to a few last digits, at every sharpness and far from the bins', () => {
    const weights = Float32Array.from({ length: 4001 }, (_, at) => (at - 2000) / 400);
    for (const sharpness of [0.01, 0.3, 2, 9, 30]) {
      const out = new Float32Array(weights.length);
      native.softenTernary(weights, Float32Array.of(1), sharpness, out);
      const formula = (u: number): number =>
        (Math.tanh(sharpness * (u - 0.5)) + Math.tanh(sharpness * (u + 0.5))) / (2 * Math.tanh(sharpness));
      // Near 0 two numbers of about tanh(s / 2) are subtracted.
      const allowed = 4e-7 * (2 + (2 * Math.tanh(sharpness / 2)) / Math.tanh(sharpness));
      weights.forEach((u, at) => {
        expect(Math.abs(out[at]! - formula(u)), `${sharpness} ${u}`).toBeLessThan(allowed * Math.max(1, Math.abs(u)));
      });
    }
  });

  it('keep every code: what lies beyond one half before does so after', () => {
    const weights = values(5000, 8);
    for (const sharpness of [0.3, 3, 30]) {
      const out = new Float32Array(5000);
      native.softenTernary(weights, Float32Array.of(0.4), sharpness, out);
      weights.forEach((weight, at) => {
        if (Math.abs(Math.abs(weight / 0.4) - 0.5) > 1e-5)
          expect(Math.abs(out[at]!) > 0.5).toBe(Math.abs(weight / 0.4) > 0.5);
      });
    }
  });

  it('have the slope that finite differences give', () => {
    const weights = values(300, 6);
    for (const sharpness of [0.5, 4, 20]) {
      const gradient = new Float32Array(300).fill(3);
      native.chainSoftTernary(weights, Float32Array.of(0.4), sharpness, gradient);
      const s = (u: number): number =>
        (Math.tanh(sharpness * (u - 0.5)) + Math.tanh(sharpness * (u + 0.5))) / (2 * Math.tanh(sharpness));
      weights.forEach((weight, at) => {
        const u = weight / 0.4;
        // The factor delta of the gradient's definition and the 1 / delta of u cancel.
        const slope = (s(u + 1e-5) - s(u - 1e-5)) / 2e-5;
        expect(Math.abs(gradient[at]! / 3 - slope)).toBeLessThan(2e-4 * Math.max(1, sharpness));
      });
    }
  });

  it('refuse a scale or a sharpness that is not above 0', () => {
    const four = new Float32Array(4);
    expect(() => native.softenTernary(four, Float32Array.of(0), 1, four)).toThrow(RangeError);
    expect(() => native.chainSoftTernary(four, Float32Array.of(1), 0, four)).toThrow(RangeError);
    expect(() => native.softenTernary(four, Float32Array.of(1), 1, new Float32Array(3))).toThrow(RangeError);
  });
});

describe('quantiseTernary', () => {
  it.each([1, 5, 127, 4096, 100_003])('equals the definition on %i values', (count) => {
    const weights = values(count, count);
    const before = values(count, 7).map(Math.sign);
    const out = before.slice();
    const found = native.quantiseTernary(weights, out);
    const { delta, ternary } = quantiseByDefinition(weights);
    expect(Math.abs(found.delta - delta)).toBeLessThanOrEqual(delta * 2 ** -23);
    for (let i = 0; i < count; i++) if (out[i] !== ternary[i]! + 0) expect([i, out[i]]).toEqual([i, ternary[i]]);
    expect(found.zeros).toBe(ternary.filter((t) => t === 0).length);
    expect(found.positives).toBe(ternary.filter((t) => t === 1).length);
    expect(found.flips).toBe(ternary.filter((t, i) => t !== before[i]).length);
  });

  it('sends exactly half a scale to zero, as round half to even does', () => {
    // mean|W| = 1, so 0.5 and -0.5 are ties, and the neighbour above rounds up.
    const weights = Float32Array.of(0.5, -0.5, 0.5000001, -0.5000001, 1.5, -2.5, 1, -1.0000002);
    const out = new Float32Array(8);
    const { delta } = native.quantiseTernary(weights, out);
    expect(delta).toBeCloseTo(1, 6);
    const ternary = Float32Array.of(...weights).map((w) =>
      Math.max(-1, Math.min(1, roundHalfEven(Math.fround(w / delta)))),
    );
    expect([...out].map((t) => t + 0)).toEqual([...ternary].map((t) => t + 0));
    expect(out[0]).toBe(0);
  });

  it('floors the scale at 1e-5', () => {
    const out = new Float32Array(300).fill(1);
    const found = native.quantiseTernary(new Float32Array(300), out);
    expect(found).toEqual({ delta: Math.fround(1e-5), zeros: 300, positives: 0, flips: 300, masked: 0, maskFlips: 0 });
    expect(out.every((t) => t === 0)).toBe(true);
  });

  it('blends latent and ternary weights while annealing, and still counts the ternary values', () => {
    const weights = values(5000, 11);
    const { delta, ternary } = quantiseByDefinition(weights);
    const pure = new Float32Array(5000);
    const reference = native.quantiseTernary(weights, pure);
    const out = new Float32Array(5000);
    for (const share of [0, 0.25, 0.9]) {
      const found = native.quantiseTernary(weights, out, { share });
      expect(found.zeros).toBe(reference.zeros);
      expect(found.positives).toBe(reference.positives);
      expect(found.flips).toBe(share === 0 ? reference.flips : 0);
      for (let i = 0; i < out.length; i += 1) {
        const ratio = weights[i]! / delta;
        expect(Math.abs(out[i]! - (ratio + share * (ternary[i]! - ratio)))).toBeLessThan(1e-5);
      }
    }
    expect(native.quantiseTernary(weights, out).flips).toBe(0);
    expect(out).toEqual(pure);
    expect(() => native.quantiseTernary(weights, out, { share: 1.5 })).toThrow(RangeError);
  });

  it('lets a NaN through in delta, so that a diverged matrix is seen', () => {
    const weights = values(100, 3);
    weights[41] = NaN;
    expect(native.quantiseTernary(weights, new Float32Array(100)).delta).toBeNaN();
  });
});

describe('quantiseTernary with other scales', () => {
  /** The nearest number with 11 significant bits, a multiple of 2^-24 below 2^-14. */
  const toHalf = (value: number): number => {
    const unit = 2 ** (Math.max(Math.floor(Math.log2(value)), -14) - 10);
    return roundHalfEven(value / unit) * unit;
  };
  const lowerMedian = (part: Float32Array): number => part.map(Math.abs).toSorted()[Math.floor((part.length - 1) / 2)]!;

  it.each([1, 2, 5, 128, 4097, 100_003])('absmedian of %i values is the lower one in the middle', (count) => {
    const weights = values(count, count);
    const out = new Float32Array(count);
    const { delta } = native.quantiseTernary(weights, out, { scale: 'absmedian' });
    expect(delta).toBe(Math.max(lowerMedian(weights), Math.fround(1e-5)));
    weights.forEach((w, i) =>
      expect(out[i]! + 0).toBe(Math.max(-1, Math.min(1, roundHalfEven(Math.fround(w / delta)))) + 0),
    );
  });

  it.each(['absmean', 'absmedian'] as const)(
    '%s: each run of weights has a scale of its own, rounded to F16',
    (scale) => {
      const [rows, run] = [211, 192];
      const weights = values(rows * run, 5).map((w, i) => w * (1 + Math.floor(i / run) / 40));
      weights.fill(0, 3 * run, 4 * run);
      const scales = new Float32Array(rows);
      const out = new Float32Array(rows * run);
      const before = values(rows * run, 8).map(Math.sign);
      out.set(before);
      native.setThreads(3);
      const found = native.quantiseTernary(weights, out, { scales, scale });
      let [zeros, flips] = [0, 0];
      for (let row = 0; row < rows; row += 1) {
        const part = weights.subarray(row * run, (row + 1) * run);
        const size = scale === 'absmean' ? part.reduce((sum, w) => sum + Math.abs(w), 0) / run : lowerMedian(part);
        const delta = toHalf(Math.max(size, 1e-5));
        expect(scales[row]).toBe(delta);
        part.forEach((w, k) => {
          const ternary = Math.max(-1, Math.min(1, roundHalfEven(Math.fround(w / delta))));
          expect(out[row * run + k]! + 0).toBe(ternary + 0);
          if (ternary === 0) zeros += 1;
          if (ternary !== before[row * run + k]) flips += 1;
        });
      }
      expect(found.zeros).toBe(zeros);
      expect(found.flips).toBe(flips);
      expect(found.delta).toBeCloseTo(scales.reduce((sum, delta) => sum + delta, 0) / rows, 6);
      const [again, alone] = [new Float32Array(rows), new Float32Array(out.length)];
      native.setThreads(1);
      native.quantiseTernary(weights, alone, { scales: again, scale });
      expect([again, alone]).toEqual([scales, out]);
    },
  );

  it('soften and chain each weight by the scale of its run', () => {
    const weights = values(256, 4);
    const scales = Float32Array.of(0.1, 0.2, 0.4, 0.8);
    const all = new Float32Array(256);
    native.softenTernary(weights, scales, 4, all);
    const gradient = new Float32Array(256).fill(1);
    native.chainSoftTernary(weights, scales, 4, gradient);
    scales.forEach((delta, i) => {
      const part = weights.subarray(64 * i, 64 * (i + 1));
      const [one, slope] = [new Float32Array(64), new Float32Array(64).fill(1)];
      native.softenTernary(part, Float32Array.of(delta), 4, one);
      native.chainSoftTernary(part, Float32Array.of(delta), 4, slope);
      expect([all, gradient].map((each) => each.subarray(64 * i, 64 * (i + 1)))).toEqual([one, slope]);
    });
  });

  it('lets a NaN through, and refuses scales that do not divide the weights', () => {
    const weights = values(128, 3);
    weights[70] = NaN;
    const scales = new Float32Array(2);
    expect(native.quantiseTernary(weights, new Float32Array(128), { scales }).delta).toBeNaN();
    expect(scales[0]).not.toBeNaN();
    expect(native.quantiseTernary(weights, new Float32Array(128), { scale: 'absmedian' }).delta).toBeNaN();
    const wrong = { scales: new Float32Array(3) };
    expect(() => native.quantiseTernary(weights, new Float32Array(128), wrong)).toThrow(RangeError);
    const unknown = { scale: 'absmax' } as unknown as { scale: 'absmean' };
    expect(() => native.quantiseTernary(weights, new Float32Array(128), unknown)).toThrow(RangeError);
  });
});

describe('learned scales', () => {
  it('take the place of a formula: kept above 1e-5, and of several those that F16 holds', () => {
    const weights = values(600, 5);
    const out = new Float32Array(600);
    const whole = native.quantiseTernary(weights, out, { learned: Float32Array.of(0.3) });
    expect(whole.delta).toBe(Math.fround(0.3));
    weights.forEach((w, i) =>
      expect(out[i]).toBe(w / Math.fround(0.3) > 0.5 ? 1 : w / Math.fround(0.3) < -0.5 ? -1 : 0),
    );
    expect(whole.zeros).toBe(out.filter((value) => value === 0).length);
    expect(native.quantiseTernary(weights, out, { learned: Float32Array.of(-2) }).delta).toBe(Math.fround(1e-5));
    expect(native.quantiseTernary(weights, out, { learned: Float32Array.of(NaN) }).delta).toBeNaN();
    const scales = new Float32Array(3);
    const learned = Float32Array.of(0.3, 0.7, -1);
    native.quantiseTernary(weights, out, { learned, scales });
    // 0.3 and 0.7 with eleven significant bits.
    expect([...scales.subarray(0, 2)]).toEqual([1229 / 4096, 1434 / 2048]);
    expect(scales[2]).toBe(168 * 2 ** -24);
    expect([...learned]).toEqual([0.3, 0.7, -1].map(Math.fround));
    expect(() => native.quantiseTernary(weights, out, { learned, scales: new Float32Array(2) })).toThrow(RangeError);
  });

  it.each([
    [1, 100_003],
    [7, 5000],
    [300, 64],
    [2, 40_000],
  ])(
    'have the gradient of ParetoQ, %i scales of %i weights each, the same bits on every number of threads',
    (count, run) => {
      const size = count * run;
      const [weights, gradient] = [values(size, 5), values(size, 9)];
      const scales = values(count, 3).map((value) => 0.2 + Math.abs(value) / 40);
      const found = [1, 3].map((threads) => {
        native.setThreads(threads);
        const out = new Float32Array(count);
        native.learnedScaleGradient(weights, scales, gradient, out, 0.75, Infinity);
        return out;
      });
      expect(found[1]).toEqual(found[0]);
      scales.forEach((delta, i) => {
        let [sum, sizes] = [0, 0];
        for (let at = i * run; at < (i + 1) * run; at += 1) {
          const u = Math.fround(weights[at]! / delta);
          const beyond = u > Math.fround(1.485) ? 1.5 : u < -Math.fround(1.485) ? -1.5 : null;
          const term = gradient[at]! * (beyond ?? roundHalfEven(Math.max(-1.4, Math.min(1.4, u))) - u);
          sum += term;
          sizes += Math.abs(term);
        }
        expect(Math.abs(found[0]![i]! - (0.75 * sum) / Math.sqrt(size))).toBeLessThan((1e-6 * sizes) / Math.sqrt(size));
      });
    },
  );

  it('have the gradient that finite differences give where codes are soft', () => {
    const [weights, gradient] = [values(600, 6), values(600, 7)];
    const scales = Float32Array.of(0.4, 0.3);
    for (const sharpness of [0.5, 4, 20]) {
      const out = new Float32Array(2);
      native.learnedScaleGradient(weights, scales, gradient, out, 1, sharpness);
      const soft = (u: number): number =>
        (Math.tanh(sharpness * (u - 0.5)) + Math.tanh(sharpness * (u + 0.5))) / (2 * Math.tanh(sharpness));
      scales.forEach((delta, i) => {
        const objective = (size: number): number => {
          let sum = 0;
          for (let at = i * 300; at < (i + 1) * 300; at += 1) sum += gradient[at]! * size * soft(weights[at]! / size);
          return sum;
        };
        const slope = (objective(delta + 1e-5) - objective(delta - 1e-5)) / 2e-5;
        expect(Math.abs(out[i]! * Math.sqrt(600) - slope)).toBeLessThan(1e-3);
        expect(Math.abs(slope)).toBeGreaterThan(0.05);
      });
    }
  });

  it('refuse arrays that do not fit, and a share or a sharpness that is none', () => {
    const of = (weights: number, scales: number, gradient: number, out: number, share = 1, sharpness = Infinity) =>
      native.learnedScaleGradient(
        new Float32Array(weights),
        new Float32Array(scales).fill(1),
        new Float32Array(gradient),
        new Float32Array(out),
        share,
        sharpness,
      );
    expect(() => of(8, 2, 8, 2)).not.toThrow();
    expect(() => of(8, 3, 8, 3)).toThrow(RangeError);
    expect(() => of(8, 2, 7, 2)).toThrow(RangeError);
    expect(() => of(8, 2, 8, 1)).toThrow(RangeError);
    expect(() => of(8, 2, 8, 2, 1.5)).toThrow(RangeError);
    expect(() => of(8, 2, 8, 2, 1, 0)).toThrow(RangeError);
  });
});

describe('quantiseTernary with n of m', () => {
  /** Bits of the `keep` largest of a group by sorting. */
  function bitsOf(group: Float32Array, keep: number): number {
    const order = [...group.keys()].sort((a, b) => Math.abs(group[b]!) - Math.abs(group[a]!) || a - b);
    return order.slice(0, keep).reduce((bits, at) => bits | (1 << at), 0);
  }

  it.each([
    ['6:8', [0.9, -0.1, 0.4, -0.4, 0.05, 0.7, -0.2, 0.3], 6, 8, [1, 0, 1, -1, 0, 1, -1, 1]],
    ['2:4, of equal ones the first', [0.9, -0.1, 0.4, -0.4], 2, 4, [1, 0, 1, 0]],
  ])('keeps the largest of each group, %s', (_title, weights, keep, of, expected) => {
    const out = new Float32Array(of);
    const sparsity = { keep, of, mask: new Uint8Array(1) };
    const { delta } = native.quantiseTernary(Float32Array.from(weights), out, { sparsity });
    expect([...out].map((value) => value + 0)).toEqual(expected);
    expect(delta).toBeCloseTo(weights.reduce((sum, w) => sum + Math.abs(w), 0) / of, 6);
  });

  it.each([
    [6, 8],
    [2, 4],
    [3, 4],
  ])('%i of %i: the scale of all weights, the codes of the kept ones, and what the mask did', (keep, of) => {
    const count = 65_544;
    const weights = values(count, of);
    const [dense, out] = [new Float32Array(count), values(count, 9).map(Math.sign)];
    const before = out.slice();
    const mask = new Uint8Array(count / of).map((_, group) => group % 2 ** of);
    const masksBefore = mask.slice();
    const { delta } = native.quantiseTernary(weights, dense);
    native.setThreads(2);
    const found = native.quantiseTernary(weights, out, { sparsity: { keep, of, mask } });
    native.setThreads(1);
    expect(found.delta).toBe(delta);
    let [masked, flips, maskFlips, zeros] = [0, 0, 0, 0];
    for (let group = 0; group < count / of; group += 1) {
      const bits = bitsOf(weights.subarray(group * of, (group + 1) * of), keep);
      expect(mask[group]).toBe(bits);
      for (let i = 0, at = group * of; i < of; i += 1, at += 1) {
        const value = ((bits >> i) & 1) === 1 ? dense[at]! : 0;
        expect(out[at]! + 0).toBe(value + 0);
        if (value !== dense[at]) masked += 1;
        if (value !== before[at]) flips += 1;
        if (value === 0) zeros += 1;
        maskFlips += ((bits ^ masksBefore[group]!) >> i) & 1;
      }
    }
    expect(found).toMatchObject({ masked, flips, maskFlips, zeros });
    const annealed = new Float32Array(count);
    native.quantiseTernary(weights, annealed, { sparsity: { keep, of, mask }, share: 0.5 });
    annealed.forEach((value, at) => {
      const ratio = weights[at]! / delta;
      expect(Math.abs(value - (ratio + out[at]!) / 2)).toBeLessThan(1e-5);
    });
    const soft = dense.slice();
    native.maskWeights(soft, mask);
    expect(soft.map((value) => value + 0)).toEqual(out.map((value) => value + 0));
  });

  it('exactly three of four: signs of the largest, the size their mean, and what changed by the codes before', () => {
    const weights = values(65_544, 5);
    weights.set([0.5, -0, 0.1, -0.2, 0, 0, 0, 0, -0.3, 0.3, 0.3, -0.3]);
    const kept = { keep: 3, of: 4, exact: true };
    const mask = new Uint8Array(weights.length / 4);
    const out = new Float32Array(weights.length);
    const expected = new Float32Array(weights.length);
    let sum = 0;
    for (let four = 0; four < weights.length; four += 4) {
      const bits = bitsOf(weights.subarray(four, four + 4), 3);
      for (let i = 0; i < 4; i += 1) {
        if (((bits >> i) & 1) === 0) continue;
        sum += Math.abs(weights[four + i]!);
        expected[four + i] = weights[four + i]! < 0 ? -1 : 1;
      }
    }
    // Of equal ones the first stay, and a kept 0 is positive.
    expect([...expected.subarray(0, 12)]).toEqual([1, 0, 1, -1, 1, 1, 1, 0, -1, 1, 1, 0]);
    native.setThreads(2);
    const found = native.quantiseTernary(weights, out, { sparsity: { ...kept, mask } });
    native.setThreads(1);
    expect(out).toEqual(expected);
    const delta = sum / ((weights.length / 4) * 3);
    expect(Math.abs(found.delta / delta - 1)).toBeLessThan(1e-7);
    const zeros = weights.length / 4;
    const positives = expected.filter((value) => value > 0).length;
    const flips = weights.length - zeros;
    expect(found).toMatchObject({ zeros, positives, flips, masked: zeros, maskFlips: flips });
    // Annealed weights near 0 keep their code: nothing flips, whatever the share.
    const annealed = native.quantiseTernary(weights, out, { sparsity: { ...kept, mask }, share: 0.25 });
    expect(annealed).toMatchObject({ flips: 0, maskFlips: 0 });
    out.forEach((value, at) => {
      const ratio = weights[at]! / found.delta;
      expect(Math.abs(value - (ratio + 0.25 * (expected[at]! - ratio)))).toBeLessThan(1e-5);
    });
    const moved = weights.slice();
    // Another one of the first four is left out, and a sign changes.
    moved.set([0.5, 0.3, 0.1, 0.2]);
    const after = native.quantiseTernary(moved, out, { sparsity: { ...kept, mask }, share: 0.5 });
    expect(after).toMatchObject({ flips: 3, maskFlips: 2 });
    const rows = { scales: new Float32Array(4), sparsity: { ...kept, mask: new Uint8Array(4) } };
    native.quantiseTernary(
      Float32Array.of(3, 2, 1, 0, 1, 1, 1, 4, 0, 0, 0, 0, -6, 3, 0, 0),
      new Float32Array(16),
      rows,
    );
    expect([...rows.scales]).toEqual([2, 2, Math.fround(1.0013580322265625e-5), 3]);
    const wrong = (settings: object) =>
      native.quantiseTernary(weights, out, { sparsity: { ...kept, mask }, ...settings });
    expect(() => wrong({ scale: 'absmedian' })).toThrow(RangeError);
    expect(() => wrong({ sparsity: { ...kept, keep: 2, mask } })).toThrow(RangeError);
  });

  it('refuses groups that do not fit', () => {
    const twelve = new Float32Array(12);
    const make = (keep: number, of: number, bytes: number, scales = 1) =>
      native.quantiseTernary(new Float32Array(24), new Float32Array(24), {
        scales: new Float32Array(scales),
        sparsity: { keep, of, mask: new Uint8Array(bytes) },
      });
    for (const [keep, of, bytes, scales] of [
      [4, 4, 6, 1],
      [0, 4, 6, 1],
      [2, 6, 4, 1],
      [2, 4, 5, 1],
      [6, 8, 3, 2],
    ] as const)
      expect(() => make(keep, of, bytes, scales)).toThrow(RangeError);
    expect(() => make(2, 4, 6, 2)).not.toThrow();
    expect(() => native.maskWeights(twelve, new Uint8Array(2))).toThrow(RangeError);
  });
});

describe('roundWithRest', () => {
  /** The bfloat16 number nearest to x, by its definition: eight significant bits, half to even. */
  const nearest = (x: number): number => {
    if (x === 0 || !Number.isFinite(x)) return x;
    const unit = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7);
    const units = x / unit;
    const low = Math.floor(units);
    const up = units - low > 0.5 || (units - low === 0.5 && low % 2 !== 0);
    return (low + Number(up)) * unit;
  };

  it('rounds a sum to bfloat16 and keeps exactly what that leaves out', () => {
    const sums = values(70_001, 3);
    sums.set([1.00390625, 1.01171875, -1.00390625, 0, 65_280.5]);
    const rest = values(70_001, 4).map((x) => x / 1000);
    rest.set([0, 0, 0, 0, 0]);
    const whole = sums.map((x, i) => x + rest[i]!);
    native.roundWithRest(sums, rest);
    expect(bytes(sums).equals(bytes(whole.map(nearest)))).toBe(true);
    expect(bytes(sums.map((x, i) => x + rest[i]!)).equals(bytes(whole))).toBe(true);
    expect([...sums.subarray(0, 4)]).toEqual([1, 1.015625, -1, 0]);
  });

  it('lets what is no number through', () => {
    const sums = Float32Array.of(NaN, Infinity, -Infinity);
    native.roundWithRest(sums, new Float32Array(3));
    expect([...sums]).toEqual([NaN, Infinity, -Infinity]);
    expect(() => native.roundWithRest(sums, new Float32Array(2))).toThrow(RangeError);
  });
});

describe('accumulate and squaredNorm', () => {
  it('adds element by element', () => {
    const target = values(70_001, 1);
    const source = values(70_001, 2);
    const expected = target.map((t, i) => t + source[i]!);
    native.accumulate(target, source);
    expect(bytes(target).equals(bytes(expected))).toBe(true);
  });

  it('sums squares in double', () => {
    const array = values(1_000_003, 5);
    let sum = 0;
    for (const x of array) sum += x * x;
    expect(Math.abs(native.squaredNorm(array) / sum - 1)).toBeLessThan(1e-12);
    expect(native.squaredNorm(Float32Array.of(1, NaN))).toBeNaN();
    expect(native.squaredNorm(Float32Array.of(1, -Infinity))).toBe(Infinity);
    expect(native.squaredNorm(new Float32Array(0))).toBe(0);
  });
});

describe('rows', () => {
  it.each([1, 7, 64, 288, 1000])('gathers and scatters rows of width %i', (width) => {
    const rows = 50;
    const table = values(rows * width, 11);
    const ids = Int32Array.from({ length: 333 }, (_, i) => (i * 17 + (i % 5)) % rows);
    const out = new Float32Array(ids.length * width);
    native.gatherRows(table, ids, width, out);
    ids.forEach((id, i) => {
      expect(
        bytes(out.subarray(i * width, (i + 1) * width)).equals(bytes(table.slice(id * width, (id + 1) * width))),
      ).toBe(true);
    });
    const scale = 0.37;
    const expected = table.slice();
    ids.forEach((id, i) => {
      for (let c = 0; c < width; c++) {
        const product = Math.fround(Math.fround(scale) * out[i * width + c]!);
        expected[id * width + c] = expected[id * width + c]! + product;
      }
    });
    native.scatterAddRows(table, ids, width, out, scale);
    expect(bytes(table).equals(bytes(expected))).toBe(true);
  });

  it('refuses an id outside the table and leaves the table as it was', () => {
    const table = values(30, 1);
    const before = table.slice();
    for (const id of [-1, 10, 2 ** 31 - 1]) {
      expect(() => native.gatherRows(table, Int32Array.of(0, id), 3, new Float32Array(6))).toThrow(RangeError);
      expect(() => native.scatterAddRows(table, Int32Array.of(0, id), 3, new Float32Array(6), 1)).toThrow(/position 1/);
    }
    expect(table).toEqual(before);
  });
});

/** torch.optim.AdamW's three lines in double; the native float32 stays within a few roundings of it. */
function adamWInDouble(p: number, g: number, m: number, v: number, s: AdamWSettings): [number, number, number] {
  const gradient = g * s.gradientScale;
  const decayed = p * (1 - s.learningRate * s.weightDecay);
  const first = s.beta1 * m + (1 - s.beta1) * gradient;
  const second = s.beta2 * v + (1 - s.beta2) * gradient * gradient;
  const denominator = Math.sqrt(second) / Math.sqrt(1 - s.beta2 ** s.step) + s.epsilon;
  return [decayed - ((s.learningRate / (1 - s.beta1 ** s.step)) * first) / denominator, first, second];
}

describe('adamW', () => {
  const settings: AdamWSettings = {
    step: 1,
    learningRate: 3e-3,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.1,
    gradientScale: 0.5,
  };

  it('follows the formula over several steps', () => {
    const count = 40_001;
    const p = values(count, 21);
    const m = new Float32Array(count);
    const v = new Float32Array(count);
    const expected = Array.from(p, (x): [number, number, number] => [x, 0, 0]);
    for (let step = 1; step <= 5; step++) {
      const g = values(count, 100 + step);
      native.adamW(p, g, m, v, { ...settings, step });
      expected.forEach(([ep, em, ev], i) => {
        expected[i] = adamWInDouble(ep, g[i]!, em, ev, { ...settings, step });
      });
    }
    let worst = 0;
    expected.forEach(([ep, em, ev], i) => {
      worst = Math.max(worst, Math.abs(p[i]! - ep) / Math.max(1, Math.abs(ep)));
      worst = Math.max(worst, Math.abs(m[i]! - em), Math.abs(v[i]! - ev) / Math.max(1, ev));
    });
    expect(worst).toBeLessThan(1e-6);
  });

  it('agrees with torch.optim.AdamW (golden/adamw.py) to the last rounding or two', () => {
    const golden = JSON.parse(readFileSync(new URL('./golden/adamw.json', import.meta.url), 'utf8')) as {
      settings: AdamWSettings;
      start: number[];
      gradients: number[][];
      after: number[];
      firstMoment: number[];
      secondMoment: number[];
    };
    const p = Float32Array.from(golden.start);
    const m = new Float32Array(p.length);
    const v = new Float32Array(p.length);
    golden.gradients.forEach((g, i) =>
      native.adamW(p, Float32Array.from(g), m, v, { ...golden.settings, step: i + 1 }),
    );
    const close = (found: Float32Array, expected: number[]) =>
      expected.forEach((x, i) =>
        expect(Math.abs(found[i]! - x)).toBeLessThanOrEqual(2.4e-7 * Math.max(1, Math.abs(x))),
      );
    close(p, golden.after);
    close(m, golden.firstMoment);
    close(v, golden.secondMoment);
  });

  it('checks lengths, types and the step', () => {
    const four = new Float32Array(4);
    expect(() => native.adamW(four, new Float32Array(3), four, four, settings)).toThrow(RangeError);
    expect(() => native.adamW(four, four, four, new Float32Array(5), settings)).toThrow(RangeError);
    expect(() => native.adamW(four, four, four, four, { ...settings, step: 0 })).toThrow(RangeError);
    expect(() => native.adamW(four, new Float64Array(4) as unknown as Float32Array, four, four, settings)).toThrow(
      TypeError,
    );
    expect(() => native.accumulate(four, new Float32Array(3))).toThrow(RangeError);
    expect(() => native.quantiseTernary(four, new Float32Array(3))).toThrow(RangeError);
    expect(() => native.quantiseTernary([1, 2] as unknown as Float32Array, four)).toThrow(TypeError);
    expect(() => native.gatherRows(four, Int32Array.of(0), 3, new Float32Array(3))).toThrow(RangeError);
    expect(() => native.gatherRows(four, Int32Array.of(0), 0, new Float32Array(0))).toThrow(RangeError);
    expect(() => native.setThreads(0)).toThrow(RangeError);
  });
});

describe('adamWBytes', () => {
  const settings = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, gradientScale: 1 };
  const none = (count: number): ByteMoments => {
    const blocks = Math.ceil(count / momentBlock);
    const bytesOf = () => new Uint8Array(blocks * momentBlock);
    const scales = () => new Float32Array(blocks);
    return { first: bytesOf(), second: bytesOf(), firstScales: scales(), secondScales: scales() };
  };
  /** The moments of some values in a longer range; `first` and `count` are whole blocks. */
  const partOf = ({ first, second, firstScales, secondScales }: ByteMoments, begin: number, end: number) => ({
    first: first.subarray(begin, end),
    second: second.subarray(begin, end),
    firstScales: firstScales.subarray(begin / momentBlock, Math.ceil(end / momentBlock)),
    secondScales: secondScales.subarray(begin / momentBlock, Math.ceil(end / momentBlock)),
  });

  it('is the scheme of golden/adamw-bytes.py, bit for bit', () => {
    const golden = JSON.parse(readFileSync(new URL('./golden/adamw-bytes.json', import.meta.url), 'utf8')) as {
      settings: AdamWSettings;
      steps: number;
      firstBlock: number;
      after: number[];
      first: string;
      second: string;
      firstScales: number[];
      secondScales: number[];
    };
    const draws = (count: number, seed: number): number[] => {
      let state = seed;
      return Array.from({ length: count }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 31 - 1;
      });
    };
    const { length } = golden.after;
    const p = Float32Array.from(draws(length, 1));
    const moments = none(length);
    for (let step = 1; step <= golden.steps; step += 1) {
      const gradients = draws(length, 100 + step).map((value, i) =>
        i % 50 === 0 || i % 11 === step % 3 ? 0 : value * 10 ** -(i % 9),
      );
      native.adamWBytes(p, Float32Array.from(gradients), moments, { ...golden.settings, step }, golden.firstBlock);
    }
    expect([...p]).toEqual(golden.after);
    expect([...moments.firstScales]).toEqual(golden.firstScales);
    expect([...moments.secondScales]).toEqual(golden.secondScales);
    expect(Buffer.from(moments.first).toString('hex')).toBe(golden.first);
    expect(Buffer.from(moments.second).toString('hex')).toBe(golden.second);
  });

  it('takes the first step of adamW, and stays near it for hundreds, also where a value’s gradients shrink and its neighbours’ do not', () => {
    const count = 2048;
    const [p, q] = [new Float32Array(count), new Float32Array(count)];
    const [m, v] = [new Float32Array(count), new Float32Array(count)];
    const moments = none(count);
    // Of the distance to where the exact ones go.
    const apart = (): number =>
      Math.sqrt(p.reduce((sum, x, i) => sum + (x - q[i]!) ** 2, 0) / p.reduce((sum, x) => sum + x ** 2, 0));
    const found: number[] = [];
    for (let step = 1; step <= 600; step += 1) {
      const g = values(count, 7 * step).map(
        (x, i) => (x + 0.3) * 10 ** -(i % 3) * (1 + step / 20) ** -((i % 5) / 3) * 1e-2,
      );
      const same = { ...settings, beta2: 0.999, weightDecay: 0, step };
      native.adamW(p, g, m, v, same);
      native.adamWBytes(q, g, moments, same, 0);
      if (step === 1) expect(q).toEqual(p);
      if (step % 100 === 0) found.push(apart());
    }
    expect(Math.max(...found), String(found)).toBeLessThan(0.15);
    expect(found.at(-1)).toBeGreaterThan(0.01);
  });

  it('never takes a second moment for 0 that is not, so that no step is without bound', () => {
    const count = momentBlock;
    const p = new Float32Array(count);
    const moments = none(count);
    const g = new Float32Array(count).fill(1e-12);
    g[0] = 1e3;
    for (let step = 1; step <= 20; step += 1)
      native.adamWBytes(p, g, moments, { ...settings, epsilon: 1e-30, weightDecay: 0, step }, 0);
    expect(Math.min(...moments.second)).toBe(1);
    expect(Math.max(...p.map(Math.abs))).toBeLessThan(20 * 1.01e-3);
    // Huge gradients leave numbers.
    native.adamWBytes(p, g.fill(3e38), moments, { ...settings, step: 21 }, 0);
    native.adamWBytes(p, g.fill(-3e38), moments, { ...settings, step: 22 }, 0);
    expect(p.every(Number.isFinite)).toBe(true);
  });

  it('gives the same bits in pieces and for every number of threads', () => {
    const count = 100_000;
    const run = (threads: number, ...cuts: number[]) => {
      native.setThreads(threads);
      const p = values(count, 3);
      const moments = none(count);
      const ends = [...cuts, count];
      for (let step = 1; step <= 3; step += 1)
        ends.forEach((end, at) => {
          const begin = ends[at - 1] ?? 0;
          const g = values(count, step).subarray(begin, end);
          const whole = Math.ceil(end / momentBlock) * momentBlock;
          native.adamWBytes(
            p.subarray(begin, end),
            g,
            partOf(moments, begin, whole),
            { ...settings, step },
            begin / momentBlock,
          );
        });
      return [p, moments];
    };
    const one = run(1);
    for (const threads of [2, 3]) expect(run(threads)).toEqual(one);
    expect(run(2, 256, 50 * 256, 51 * 256)).toEqual(one);
  });

  it('checks lengths, types and the block', () => {
    const four = new Float32Array(4);
    const step = { ...settings, step: 1 };
    const fine = none(4);
    expect(() => native.adamWBytes(four, four, fine, step, 0)).not.toThrow();
    expect(() => native.adamWBytes(four, new Float32Array(3), fine, step, 0)).toThrow(RangeError);
    for (const short of ['first', 'second'] as const)
      expect(() => native.adamWBytes(four, four, { ...fine, [short]: new Uint8Array(4) }, step, 0)).toThrow(RangeError);
    for (const short of ['firstScales', 'secondScales'] as const)
      expect(() => native.adamWBytes(four, four, { ...fine, [short]: four }, step, 0)).toThrow(RangeError);
    for (const block of [-1, 0.5]) expect(() => native.adamWBytes(four, four, fine, step, block)).toThrow(RangeError);
    expect(() => native.adamWBytes(four, four, { ...fine, first: four as unknown as Uint8Array }, step, 0)).toThrow(
      TypeError,
    );
  });
});

it('gives the same bits for every number of threads', () => {
  const count = 300_007;
  const run = (threads: number) => {
    native.setThreads(threads);
    const w = values(count, 31);
    const ternary = new Float32Array(count);
    const m = values(count, 32);
    const v = values(count, 33).map(Math.abs);
    const found = native.quantiseTernary(w, ternary);
    const norm = native.squaredNorm(w);
    native.adamW(w, values(count, 34), m, v, {
      step: 9,
      learningRate: 1e-3,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.01,
      gradientScale: 1,
    });
    const table = values(100 * 700, 35);
    const ids = Int32Array.from({ length: 400 }, (_, i) => (i * i) % 100);
    native.scatterAddRows(table, ids, 700, values(400 * 700, 36), 0.25);
    return Buffer.concat([
      bytes(Float32Array.of(found.delta, found.zeros, found.flips, norm)),
      bytes(w),
      bytes(ternary),
      bytes(m),
      bytes(v),
      bytes(table),
    ]);
  };
  const one = run(1);
  for (const threads of [2, 3, 5]) expect(run(threads).equals(one)).toBe(true);
});

describe('multiplyRounded', () => {
  /** The nearest number with eight significant bits, of two equally near ones the even one. */
  const rounded = (value: number): number => {
    const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7);
    return value === 0 ? 0 : roundHalfEven(value / unit) * unit;
  };
  const shapes = [
    [1, 1, 1],
    [7, 65, 33],
    [50, 130, 201],
    [49, 20, 2],
  ] as const;

  it.each(shapes)('%i x %i over %i: the product of rounded factors, whichever way they lie', (rows, columns, inner) => {
    const a = values(rows * inner, 1);
    const b = values(inner * columns, 2);
    for (const turnedA of [false, true])
      for (const turnedB of [false, true]) {
        const out = new Float32Array(rows * columns);
        native.multiplyRounded(a, b, out, { rows, columns, inner, turnedA, turnedB });
        for (let row = 0; row < rows; row += 1)
          for (let column = 0; column < columns; column += 1) {
            let sum = 0;
            let size = 0;
            for (let at = 0; at < inner; at += 1) {
              const left = rounded(a[turnedA ? at * rows + row : row * inner + at]!);
              const term = left * rounded(b[turnedB ? column * inner + at : at * columns + column]!);
              sum += term;
              size += Math.abs(term);
            }
            expect(Math.abs(out[row * columns + column]! - sum)).toBeLessThanOrEqual(1e-6 * size);
          }
      }
  });

  it('has the same bits with every set of instructions and on any number of threads', () => {
    expect(native.productSets().at(-1)).toBe('portable');
    const [rows, columns, inner] = [101, 150, 77];
    const a = values(rows * inner, 3);
    const b = values(inner * columns, 4);
    const found = new Set<string>();
    for (const set of native.productSets())
      for (const threads of [1, 3]) {
        native.setThreads(threads);
        const out = new Float32Array(rows * columns);
        native.multiplyRounded(a, b, out, { rows, columns, inner, set });
        found.add(bytes(out).toString('hex'));
      }
    expect(found.size).toBe(1);
  });

  it('hands on what is no number or infinite, and takes numbers below 2^-126 for 0', () => {
    const one = (a: number, b: number, set: string): number => {
      const out = new Float32Array(1);
      native.multiplyRounded(new Float32Array([a]), new Float32Array([b]), out, { rows: 1, columns: 1, inner: 1, set });
      return out[0]!;
    };
    for (const set of native.productSets()) {
      expect(one(NaN, 1, set)).toBeNaN();
      expect(one(-Infinity, 2, set)).toBe(-Infinity);
      expect(one(3.4e38, 1, set)).toBe(Infinity);
      expect(one(1e-39, 1e30, set)).toBe(0);
      expect(one(1 + 2 ** -8, 1, set)).toBe(1);
      expect(one(1 + 3 * 2 ** -8, 1, set)).toBe(1 + 2 ** -6);
    }
  });

  it('refuses buffers that are not of the shape, and sets that are not there', () => {
    const [a, b, out] = [new Float32Array(6), new Float32Array(6), new Float32Array(4)];
    const shape = { rows: 2, columns: 2, inner: 3 };
    expect(() => native.multiplyRounded(a, b, out, shape)).not.toThrow();
    for (const wrong of [{ rows: 3 }, { columns: 3 }, { inner: 2 }, { rows: 0 }, { rows: 1.5 }, { set: 'abacus' }])
      expect(() => native.multiplyRounded(a, b, out, { ...shape, ...wrong })).toThrow(RangeError);
  });
});
