import { expect, test } from 'vitest';
import { Graph } from '../graph/graph.ts';
import { program } from '../graph/passes.ts';
import { createSession } from '../graph/session.ts';
import { headGradient } from './loss-head.ts';
import { Random } from '../basics/random.ts';

test('the gradient of a large head and that of a small one, computed the other way round, are the sum over rows', async () => {
  const [n, vocabSize, hiddenSize] = [5, 7, 3];
  const random = new Random(1);
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
  const feeds = { dLogits: values(n * vocabSize), rows: values(n * hiddenSize), soFar: values(vocabSize * hiddenSize) };
  const expected = feeds.soFar.map((before, index) => {
    const [token, column] = [Math.floor(index / hiddenSize), index % hiddenSize];
    let sum = before;
    for (let row = 0; row < n; row += 1)
      sum += feeds.dLogits[row * vocabSize + token]! * feeds.rows[row * hiddenSize + column]!;
    return sum;
  });
  for (const largestTurned of [vocabSize * hiddenSize, vocabSize * hiddenSize - 1]) {
    const graph = new Graph('head');
    const dLogits = graph.input('dLogits', [n, vocabSize]);
    const rows = graph.input('rows', [n, hiddenSize]);
    const soFar = graph.input('soFar', [vocabSize, hiddenSize]);
    const dHead = headGradient(graph, dLogits, rows, soFar, largestTurned);
    const session = await createSession(program('head', graph, { dHead }), { threads: 1 });
    const results = { dHead: new Float32Array(vocabSize * hiddenSize) };
    await session.run({}, feeds, results);
    await session.release();
    results.dHead.forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 5));
  }
});
