/** Every operation's gradient against central finite differences of its own forward pass. */
import { describe, expect, it } from 'vitest';
import { native } from '../../native/index.ts';
import { differentiate } from './differentiate.ts';
import { elementCount } from './backend.ts';
import { exactByteProducts } from './exact-byte-products.ts';
import { Graph, type Value } from './graph.ts';
import { largestDeviation, prepareCase } from './gradient-check.ts';
import { bindings, noise, operationCases } from './operation-cases.ts';
import { hadamard, quantiseActivation, ternaryLinear } from './operations.ts';
import { program } from './passes.ts';
import { createSession } from './session.ts';

const options = { threads: 1 };

describe('gradients against central finite differences', () => {
  it.each(operationCases)('$name', async (operation) => {
    const worst = await largestDeviation(operation, options);
    expect(worst.units, JSON.stringify(worst)).toBeLessThan(1);
  });

  it.each(operationCases)('$name: recomputing in the backward pass gives the same bits', async (operation) => {
    const keeping = await prepareCase(operation, false, options);
    await keeping.runForward();
    const expected = await keeping.runBackward();
    const recomputing = await prepareCase(operation, true, options);
    expect(recomputing.passes.kept).toHaveLength(0);
    expect(await recomputing.runBackward()).toEqual(expected);
  });
});

/** Results of operations on x, `[1, 1, width]`. */
async function onOneToken(
  x: readonly number[],
  build: (graph: Graph, input: Value) => Record<string, Value>,
): Promise<Record<string, number[]>> {
  const graph = new Graph('one token');
  const results = build(graph, graph.input('x', ['B', 'T', x.length]));
  const session = await createSession(program('one token', graph, results), options);
  const sizes = { B: 1, T: 1 };
  const out = Object.fromEntries(
    Object.entries(results).map(([name, value]) => [name, new Float32Array(elementCount(value, sizes))]),
  );
  await session.run(sizes, { x: Float32Array.from(x) }, out);
  await session.release();
  return Object.fromEntries(Object.entries(out).map(([name, values]) => [name, [...values]]));
}

describe('activations of BitNet v2', () => {
  it("hadamard is Sylvester's matrix on each block, and its own inverse", async () => {
    const four = await onOneToken([1, 2, 3, 4], (graph, x) => ({ y: hadamard(graph, x, 4) }));
    expect(four.y).toEqual([5, -1, -2, 0]);
    const random = noise(11);
    const x = Array.from({ length: 96 }, random);
    const { y, back } = await onOneToken(x, (graph, input) => {
      const turned = hadamard(graph, input, 32);
      return { y: turned, back: hadamard(graph, turned, 32) };
    });
    y!.forEach((value, column) => {
      const first = column - (column % 32);
      let sum = 0;
      for (let from = 0; from < 32; from += 1) {
        const bits = (from & (column - first)).toString(2).replaceAll('0', '').length;
        sum += (bits % 2 === 0 ? 1 : -1) * x[first + from]!;
      }
      expect(value).toBeCloseTo(sum / Math.sqrt(32), 5);
    });
    back!.forEach((value, column) => expect(value).toBeCloseTo(x[column]!, 5));
  });

  it('four bits are steps of the mean size over the root of 7, cut off at -8 and 7', async () => {
    const codes = async (x: readonly number[]) =>
      onOneToken(x, (graph, input) => {
        const { integers, scale } = quantiseActivation(graph, input, 'float32', 4);
        return { integers, scale };
      });
    const found = await codes([0.1, -0.5, 1, -2]);
    expect(found.integers).toEqual([0, -1, 3, -6]);
    expect(found.scale![0]).toBeCloseTo(0.9 / Math.sqrt(7), 6);
    expect((await codes([...new Array<number>(30).fill(0.01), 9, -9])).integers!.slice(-2)).toEqual([7, -8]);
    expect((await codes([0, 0, 0, 0])).integers).toEqual([0, 0, 0, 0]);
  });
});

describe('ternaryLinear on quantised activations', () => {
  const rows = 10;
  const outputs = 3;
  const width = 6;
  const random = noise(3);
  const x = new Float32Array(rows * width).map(() => random() * 2);
  const ternary = new Float32Array(outputs * width).map(() => Math.round(random()));
  const dy = new Float32Array(rows * outputs).map(random);

  it.each([
    ['one scale', [1], [0.125]],
    ['a scale for each row', [3], [0.125, 0.5, 0.3]],
    ['a scale for each group of columns', [3, 2, 1], [0.125, 0.5, 0.3, 0.7, 0.2, 0.9]],
  ])('equals the definition, and its gradient is the straight-through one: %s', async (_title, shape, scales) => {
    /** Of weight `[out, column]`. */
    const delta = (out: number, column: number): number =>
      scales[Math.floor(((out * width + column) * scales.length) / ternary.length)]!;
    const graph = new Graph('bitlinear');
    const input = graph.input('x', ['B', 'T', width]);
    const weight = {
      values: graph.input('values', [outputs, width]),
      transposed: null,
      delta: graph.input('delta', shape),
    };
    const output = ternaryLinear(graph, quantiseActivation(graph, input), weight);
    const seed = graph.input('seed', output.shape);
    const gradients = differentiate(graph, new Map([[output, seed]]), [input, weight.values]);
    const session = await createSession(
      program('bitlinear', graph, {
        output,
        dx: gradients.get(input)!,
        dw: gradients.get(weight.values)!,
      }),
      { threads: 1 },
    );
    const y = new Float32Array(rows * outputs);
    const dx = new Float32Array(x.length);
    const dw = new Float32Array(ternary.length);
    const feeds = { x, values: ternary, delta: new Float32Array(scales), seed: dy };
    await session.run(bindings, feeds, { output: y, dx, dw });

    const quantised = new Float64Array(x.length);
    for (let row = 0; row < rows; row += 1) {
      const values = x.subarray(row * width, (row + 1) * width);
      const gamma = Math.max(...values.map(Math.abs), 1e-5);
      values.forEach((value, column) => {
        quantised[row * width + column] = (Math.round((value * 127) / gamma) * gamma) / 127;
      });
    }
    for (let row = 0; row < rows; row += 1)
      for (let out = 0; out < outputs; out += 1) {
        let sum = 0;
        for (let column = 0; column < width; column += 1)
          sum += quantised[row * width + column]! * ternary[out * width + column]! * delta(out, column);
        expect(y[row * outputs + out]).toBeCloseTo(sum, 5);
      }
    for (let row = 0; row < rows; row += 1)
      for (let column = 0; column < width; column += 1) {
        let sum = 0;
        for (let out = 0; out < outputs; out += 1)
          sum += dy[row * outputs + out]! * ternary[out * width + column]! * delta(out, column);
        expect(dx[row * width + column]).toBeCloseTo(sum, 5);
      }
    for (let out = 0; out < outputs; out += 1)
      for (let column = 0; column < width; column += 1) {
        let sum = 0;
        for (let row = 0; row < rows; row += 1) sum += dy[row * outputs + out]! * quantised[row * width + column]!;
        expect(dw[out * width + column]).toBeCloseTo(sum, 5);
      }
  });

  it('gives the same bits in int8 and in float32, and lets a token that is no number through', async () => {
    const many = { rows: 64, width: 1536, outputs: 48 };
    const graph = new Graph('bitlinear');
    const input = graph.input('x', ['B', 'T', many.width]);
    const quantised = quantiseActivation(graph, input);
    const values = graph.input('values', [many.outputs, many.width]);
    const transposed = graph.input('transposed', [many.width, many.outputs], 'int8');
    const delta = graph.input('delta', [1]);
    const results = {
      int8: ternaryLinear(graph, quantised, { values, transposed, delta }),
      float32: ternaryLinear(graph, quantised, { values, transposed: null, delta }),
    };
    const session = await createSession(program('bitlinear', graph, results), { threads: 2 });
    const x = new Float32Array(many.rows * many.width).map(() => random() * 3);
    // Sums as large as they get, and nothing but zeros.
    x.fill(5, 0, many.width).fill(0, many.width, 2 * many.width);
    const ternary = new Float32Array(many.outputs * many.width).map(() => Math.round(random() * 1.4));
    ternary.fill(1, 0, many.width).fill(-1, many.width, 2 * many.width);
    const turned = new Int8Array(ternary.length);
    native.transposeTernary(ternary, many.width, turned);
    const feeds = { x, values: ternary, transposed: turned, delta: new Float32Array([0.125]) };
    const run = async () => {
      const int8 = new Float32Array(many.rows * many.outputs);
      const float32 = new Float32Array(int8.length);
      await session.run({ B: 2, T: many.rows / 2 }, feeds, { int8, float32 });
      return { int8, float32 };
    };
    const { int8, float32 } = await run();
    expect(int8).toEqual(float32);
    expect(int8[0]! / int8[1]!).toBe(-1);
    // What stands before a projection is normalised: one NaN in a token makes all of it NaN.
    x.fill(NaN, 3 * many.width, 4 * many.width);
    const broken = (await run()).int8;
    expect([...broken.subarray(3 * many.outputs, 4 * many.outputs)].every(Number.isNaN)).toBe(true);
    expect(broken.subarray(0, 3 * many.outputs)).toEqual(int8.subarray(0, 3 * many.outputs));
    await session.release();
  });

  it('has the gradients of float32 in 16-bit fixed point, to some ten-thousandths, whatever the tokens hold', async ({
    skip,
  }) => {
    if (!(await exactByteProducts())) skip('this processor has no exact products of bytes');
    const many = { rows: 96, width: 320, outputs: 112 };
    const graph = new Graph('bitlinear');
    const input = graph.input('x', ['B', 'T', many.width]);
    const weight = {
      values: graph.input('values', [many.outputs, many.width]),
      transposed: graph.input('transposed', [many.width, many.outputs], 'int8'),
      delta: graph.input('delta', [1]),
    };
    const seed = graph.input('seed', ['B', 'T', many.outputs]);
    const quantised = quantiseActivation(graph, input, 'int16');
    const results: Record<string, Value> = {};
    for (const kind of ['float32', 'int16'] as const) {
      const output = ternaryLinear(graph, kind === 'int16' ? quantised : { ...quantised, signed: null }, weight);
      const gradients = differentiate(graph, new Map([[output, seed]]), [input, weight.values]);
      results[`${kind}.dx`] = gradients.get(input)!;
      results[`${kind}.dw`] = gradients.get(weight.values)!;
    }
    const session = await createSession(program('bitlinear', graph, results), { threads: 2 });
    const x = new Float32Array(many.rows * many.width).map(() => random() * 3);
    // Integers as large as they get, and nothing but zeros.
    x.fill(5, 0, 8 * many.width).fill(0, 8 * many.width, 9 * many.width);
    const values = new Float32Array(many.outputs * many.width).map(() => Math.round(random() * 1.4));
    const transposed = new Int8Array(values.length);
    native.transposeTernary(values, many.width, transposed);
    const relative = (actual: Float32Array, expected: Float32Array): number => {
      let [error, size] = [0, 0];
      expected.forEach((value, i) => {
        error += (value - actual[i]!) ** 2;
        size += value ** 2;
      });
      return Math.sqrt(error / size);
    };
    const run = async (dy: Float32Array) => {
      const [dx, dw] = [x.length, values.length];
      const out = {
        'float32.dx': new Float32Array(dx),
        'int16.dx': new Float32Array(dx),
        'float32.dw': new Float32Array(dw),
        'int16.dw': new Float32Array(dw),
      };
      const feeds = { x, values, transposed, delta: new Float32Array([0.125]), seed: dy };
      await session.run({ B: 2, T: many.rows / 2 }, feeds, out);
      return out;
    };
    const even = await run(new Float32Array(many.rows * many.outputs).map(() => random() * 1e-6));
    const without = (dx: Float32Array) =>
      new Float32Array([...dx.subarray(0, 8 * many.width), ...dx.subarray(9 * many.width)]);
    expect(relative(without(even['int16.dx']), without(even['float32.dx']))).toBeLessThan(2e-4);
    // The token of nothing but zeros has the smallest scale that there is.
    const zeros = (dx: Float32Array) => dx.subarray(8 * many.width, 9 * many.width);
    expect(relative(zeros(even['int16.dx']), zeros(even['float32.dx']))).toBeLessThan(0.05);
    expect(relative(even['int16.dw'], even['float32.dw'])).toBeLessThan(2e-4);
    // All of one sign and size: sums as large as they get.
    const flat = await run(new Float32Array(many.rows * many.outputs).fill(7));
    expect(relative(flat['int16.dw'], flat['float32.dw'])).toBeLessThan(2e-4);
    // Tokens that matter a thousandth of others, as those before an answer.
    const steep = await run(
      new Float32Array(many.rows * many.outputs).map((_, i) => random() * (i < 4 * many.outputs ? 1 : 1e-3)),
    );
    expect(relative(without(steep['int16.dx']), without(steep['float32.dx']))).toBeLessThan(2e-4);
    expect(relative(steep['int16.dw'], steep['float32.dw'])).toBeLessThan(2e-4);
    const small = (name: 'int16.dx' | 'float32.dx') => steep[name].subarray(10 * many.width);
    expect(relative(small('int16.dx'), small('float32.dx'))).toBeLessThan(0.05);
    const none = await run(new Float32Array(many.rows * many.outputs));
    expect([...none['int16.dx'], ...none['int16.dw']].every((value) => value === 0)).toBe(true);
    const broken = await run(new Float32Array(many.rows * many.outputs).fill(Infinity, 0, 1));
    expect(broken['int16.dw'].some(Number.isNaN)).toBe(true);
    await session.release();
  });

  it('rounds half to even, as the other implementations do', async () => {
    const graph = new Graph('rounding');
    const input = graph.input('x', ['B', 'T', 4]);
    const { integers } = quantiseActivation(graph, input);
    const session = await createSession(program('rounding', graph, { integers }), { threads: 1 });
    const result = new Float32Array(4);
    await session.run({ B: 1, T: 1 }, { x: new Float32Array([127, 0.5, 1.5, -2.5]) }, { integers: result });
    expect([...result]).toEqual([127, 0, 2, -2]);
  });
});
