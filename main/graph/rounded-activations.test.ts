import { expect, it } from 'vitest';
import { Graph } from './graph.ts';
import { program } from './passes.ts';
import { tabulatedGeGlu } from './rounded-activations.ts';
import { createSession } from './session.ts';

/** As float16 and back, to the nearest and ties to even. */
function throughHalf(value: number): number {
  const view = new DataView(new ArrayBuffer(2));
  view.setFloat16(0, value);
  return view.getFloat16(0);
}

/** In double. */
const gelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * x * (1 + 0.044715 * x * x)));

it('GELU is looked up in float16 between -10 and 10, and is the identity or 0 beyond', async () => {
  const gate = Float32Array.from({ length: 2001 }, (_, index) => (index - 1000) / 61);
  gate.set([-10, 10, 12_345.678, -12_345.678, 9.9999, 0.0123456]);
  const up = Float32Array.from(gate, (_, index) => 1 + (index % 7) / 8);
  const graph = new Graph('gelu');
  const y = tabulatedGeGlu(graph, graph.input('gate', ['n']), graph.input('up', ['n']));
  const session = await createSession(program('gelu', graph, { y }), { threads: 1 });
  const found = new Float32Array(gate.length);
  await session.run({ n: gate.length }, { gate, up }, { y: found });
  await session.release();
  let others = 0;
  for (const [index, x] of gate.entries()) {
    const table = x >= 10 ? x : x <= -10 ? 0 : throughHalf(gelu(throughHalf(x)));
    const off = Math.abs(found[index]! / up[index]! - table);
    // A value of ours next to the middle of two of float16 may fall to the other one.
    if (off > 1e-6 * Math.abs(table) + 1e-6) others += 1;
    expect(off, String(x)).toBeLessThanOrEqual(2 ** -10 * Math.abs(table) + 1e-6);
  }
  expect(others).toBeLessThan(10);
  // A GELU of float32 would be another one nearly everywhere.
  expect(
    gate.filter((x, index) => Math.abs(found[index]! / up[index]! - gelu(x)) > 1e-6 * Math.abs(gelu(x))).length,
  ).toBeGreaterThan(1000);
});
