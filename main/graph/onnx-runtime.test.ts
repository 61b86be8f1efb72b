import { expect, it } from 'vitest';
import { Graph } from './graph.ts';
import { add } from './operations.ts';
import { program } from './passes.ts';
import { createSession } from './session.ts';

it('leaves nothing for the garbage collector: outputs lie in the buffers of the caller, and nowhere else', async () => {
  const width = 1 << 20;
  const graph = new Graph('sum');
  const out = add(graph, graph.input('a', ['N', width]), graph.input('b', ['N', width]));
  const session = await createSession(program('sum', graph, { sum: out }), { threads: 1 });
  const [a, b] = [new Float32Array(2 * width).fill(2), new Float32Array(2 * width).fill(3)];
  const sum = new Float32Array(2 * width);
  await session.run({ N: 2 }, { a, b }, { sum });
  const before = process.memoryUsage().arrayBuffers;
  for (const factor of [1, 2, 3]) {
    a.fill(factor);
    await session.run({ N: 2 }, { a, b }, { sum });
    expect([sum[0], sum.at(-1)]).toEqual([factor + 3, factor + 3]);
  }
  expect([a, b, sum].map(({ length }) => length)).toEqual([2 * width, 2 * width, 2 * width]);
  // Less than one of the three outputs of 8 MiB; a collection in between could only have made it less.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 << 20);
  await session.release();
});
