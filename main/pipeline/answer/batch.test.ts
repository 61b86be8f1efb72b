import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel, type StudentModel } from '../../../native/runtime.ts';
import { writeTinyStudent } from '../fixtures/tiny-student.ts';
import { scoreLabels } from '../task/label-scores.ts';
import type { LabelWords } from '../task/label-words.ts';
import { Batch } from './batch.ts';

let root: string;
let model: StudentModel;
let batch: Batch;
/** Answers of one, of three and of twelve tokens: the last one does not always fit into what a tile has left. */
const labels: LabelWords = {
  classes: ['a', 'b', 'c'],
  words: ['a', 'b', 'c'],
  ids: [Int32Array.of(5), Int32Array.of(6, 7, 8), Int32Array.from({ length: 12 }, (_, i) => 20 + i)],
  singleToken: false,
};
const prompt = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => (i * 37 + length) % 200);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-batch-'));
  model = loadModel(await writeTinyStudent(root), { kvType: 'f32', contextLength: 20_000 });
  batch = new Batch(model);
});
afterAll(() => {
  model.close();
  rmSync(root, { recursive: true });
});

it('gives scores and answers, bit for bit, as each is alone', async () => {
  const lengths = [1, 7, 47, 48, 49, 130, 3, 60];
  const options = { maxTokens: 12, temperature: 1.3, topP: 0.95, seed: 3 };
  const alone = [];
  for (const length of lengths) {
    model.reset();
    const { tokens } = await model.generate(prompt(length), options);
    alone.push({ tokens, scores: scoreLabels(model, prompt(length), labels) });
  }
  const beside = await Promise.all(
    lengths.map(async (length) => {
      const [{ tokens }, scores] = await Promise.all([
        batch.generate(prompt(length), options),
        batch.score(prompt(length), labels),
      ]);
      return { tokens, scores };
    }),
  );
  expect(beside).toEqual(alone);
});

it('gives a token to everybody in each step while a long prompt is read', async () => {
  const stop = new AbortController();
  let tokens = 0;
  const running = batch.generate(prompt(3), { maxTokens: 20_000, signal: stop.signal }, () => {
    tokens += 1;
    return undefined;
  });
  const long = prompt(40 * (model.info.tileTokens - 1));
  await batch.generate(long, { maxTokens: 1 });
  expect(tokens).toBeGreaterThanOrEqual(39);
  expect(tokens).toBeLessThan(45);
  stop.abort();
  expect((await running).reason).toBe('cancelled');
});

it('hears of a cancelled one between two steps, while a prompt is read and before it begins', async () => {
  const stop = new AbortController();
  const { signal } = stop;
  const long = batch.generate(prompt(19_000), { maxTokens: 1, signal });
  const scored = batch.score(prompt(19_000), labels, 1, signal);
  // The long ones wait for one another, this one for none.
  await batch.generate(prompt(3), { maxTokens: 2 });
  stop.abort();
  expect(await batch.score(prompt(3), labels, 1, signal)).toBeNull();
  expect(await scored).toBeNull();
  expect(await long).toMatchObject({ reason: 'cancelled', tokens: { length: 0 } });
});

it('tells those whose tokens the model cannot take, and goes on', async () => {
  await expect(batch.generate(Int32Array.of(-1), { maxTokens: 1 })).rejects.toThrow(/outside the vocabulary/);
  expect((await batch.generate(prompt(3), { maxTokens: 2 })).tokens).toHaveLength(2);
});
