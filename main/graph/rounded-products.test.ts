/** Programs in pieces: the numbers of the whole program, but for the factors' rounding. Whole layers: main/training/golden.test.ts. */
import { describe, expect, it } from 'vitest';
import { type Bindings, elementCount } from './backend.ts';
import { Graph } from './graph.ts';
import { matmul } from './operations.ts';
import { type Program, program } from './passes.ts';
import { createSession } from './session.ts';

let state = 5;

/** Whole numbers up to 8 and halves: exact in bfloat16, as are their products. */
const exact = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (((state >>> 16) % 33) - 16) / 2;
};

function inputsOf({ inputs }: Program, bindings: Bindings, value: () => number): Record<string, Float32Array> {
  return Object.fromEntries(
    inputs.map((input) => [input.name, Float32Array.from({ length: elementCount(input, bindings) }, value)]),
  );
}

async function results(
  made: Program,
  bindings: Bindings,
  feeds: Record<string, Float32Array>,
  roundedProducts: boolean,
  wanted = made.outputs.map(({ name }) => name),
): Promise<Record<string, Float32Array>> {
  const session = await createSession(made, { threads: 1, roundedProducts });
  const found = Object.fromEntries(
    made.outputs
      .filter(({ name }) => wanted.includes(name))
      .map((output) => [output.name, new Float32Array(elementCount(output, bindings))]),
  );
  // A second run finds buffers of the first, of another size.
  await session.run(
    { ...bindings, T: bindings.T! + 1 },
    inputsOf(made, { ...bindings, T: bindings.T! + 1 }, exact),
    {},
  );
  await session.run(bindings, feeds, found);
  await session.release();
  return found;
}

const distance = (a: Float32Array, b: Float32Array): number => {
  let [squares, size] = [0, 0];
  for (const [at, value] of a.entries()) {
    squares += (value - b[at]!) ** 2;
    size += b[at]! ** 2;
  }
  return Math.sqrt(squares / size);
};

describe('a program whose large products run in the addon', () => {
  it('gives what the whole program gives where rounding changes nothing', async () => {
    const graph = new Graph('chain');
    const x = graph.input('x', ['B', 'T', 32]);
    const [first, second] = [graph.input('first', [48, 32]), graph.input('second', [48, 32])];
    const hidden = matmul(graph, x, first, ['B', 'T', 48], { transposeB: true });
    const kept = graph.node1('Relu', [hidden], hidden.shape);
    const back = matmul(graph, graph.node1('Neg', [kept], kept.shape), second, ['B', 'T', 32]);
    const rows = (value: typeof x, width: number) =>
      graph.node1('Reshape', [value, graph.integers([-1, width])], ['B*T', width], { cheap: true });
    const y = graph.input('y', ['B', 'T', 48]);
    const weight = matmul(graph, rows(x, 32), rows(y, 48), [32, 48], { transposeA: true });
    // Too narrow for the addon: a sum over tokens.
    const narrow = matmul(graph, graph.input('ones', ['B*T', 1]), rows(x, 32), [1, 32], { transposeA: true });
    const made = program('chain', graph, { kept, back, weight, narrow, same: first });
    const bindings = { B: 3, T: 7 };
    const feeds = inputsOf(made, bindings, exact);
    const whole = await results(made, bindings, feeds, false);
    const pieces = await results(made, bindings, feeds, true);
    for (const name of ['kept', 'weight', 'narrow', 'same']) expect(pieces[name], name).toEqual(whole[name]);
    // The second product's factors are sums, which do not fit into eight bits.
    expect(distance(pieces.back!, whole.back!)).toBeLessThan(4e-3);
    // Results that nobody asks for are left out.
    const some = await results(made, bindings, feeds, true, ['back']);
    expect(some).toEqual({ back: pieces.back });
  });
});
