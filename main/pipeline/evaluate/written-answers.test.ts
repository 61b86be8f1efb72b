import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateRows } from '../../evaluation/answer-classes.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { loadParameters } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { tinyConfiguration, tinyParameters, tinyPrompts, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import type { EvaluationRow } from '../task/evaluation-rows.ts';
import { writeAnswers } from './written-answers.ts';

const newTokens = 8;
let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-answers-'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function model(name: string, configuration: ModelConfiguration): Promise<string> {
  const folder = join(root, name);
  await saveModelFolder(folder, tokenizerFolder, configuration, tinyParameters(configuration));
  return folder;
}
function rowsOf(configuration: ModelConfiguration): EvaluationRow[] {
  const references = tinyPrompts(6, configuration.vocabSize, 9);
  return tinyPrompts(6, configuration.vocabSize).map((prompt, row) => ({
    prompt,
    label: -1,
    reference: '',
    referenceIds: references[row]!,
  }));
}
const options = { maxNewTokens: newTokens, threads: 1, stopping: () => false, onRow: () => Promise.resolve() };

/** Nats per token of the reference answers in the training engine. */
async function referenceCrossEntropy(
  folder: string,
  configuration: ModelConfiguration,
  rows: readonly EvaluationRow[],
): Promise<number> {
  const parameters = await loadParameters(folder, configuration);
  const network = await Network.create(configuration, parameters, { threads: 1, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads: 1 });
  let sum = 0;
  let tokens = 0;
  for (const { prompt, referenceIds } of rows) {
    const ids = Int32Array.from([...prompt, ...referenceIds]);
    const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
    const positions = Int32Array.from(referenceIds.keys(), (at) => prompt.length - 1 + at);
    for (const value of await head.logProbabilities(hidden, positions, referenceIds, 1)) sum -= value;
    tokens += referenceIds.length;
  }
  await head.release();
  await network.release();
  return sum / tokens;
}

describe('written answers', () => {
  it('are those of the training engine, and so is the cross-entropy of the references', async () => {
    const configuration = tinyConfiguration({ ternary: false, subln: 'none' });
    const folder = await model('teacher', configuration);
    const tokenizer = await loadTokenizer(tokenizerFolder);
    const rows = rowsOf(configuration);
    const found = await writeAnswers(root, folder, configuration, tokenizer, rows, options);

    const parameters = await loadParameters(folder, configuration);
    const network = await Network.create(configuration, parameters, { threads: 1, mode: 'inference' });
    const head = await ScoringHead.create(network, { threads: 1 });
    const prompts = rows.map(({ prompt }) => prompt);
    expect(found.answers).toEqual(await generateRows(network, head, prompts, tokenizer.eosId, newTokens));
    // The runtime's weights are rounded to F16.
    expect(found.crossEntropy).toBeCloseTo(await referenceCrossEntropy(folder, configuration, rows), 2);
    await head.release();
    await network.release();
  });

  it.each<[string, Partial<ModelConfiguration>]>([
    ['Llama with SubLN before all seven', { subln: 'all', ffnSize: 384 }],
    ['Qwen2 with SubLN and bias', { architecture: 'qwen2' }],
  ])('of a student that no format holds (%s) come from a file of our own', async (title, changes) => {
    const configuration = tinyConfiguration(changes);
    const folder = await model(title, configuration);
    const tokenizer = await loadTokenizer(tokenizerFolder);
    const rows = rowsOf(configuration);
    const found = await writeAnswers(root, folder, configuration, tokenizer, rows, options);
    expect(found.answers.every(({ length }) => length > 0)).toBe(true);
    // The embedding is rounded to F16, which moves int8 roundings behind it.
    expect(found.crossEntropy).toBeCloseTo(await referenceCrossEntropy(folder, configuration, rows), 1);
  });

  it('stop with the caller, and leave no file behind', async () => {
    const configuration = tinyConfiguration();
    const folder = await model('student', configuration);
    const tokenizer = await loadTokenizer(tokenizerFolder);
    let done = 0;
    const onRow = (rows: number): Promise<void> => {
      done = rows;
      return rows === 2 ? Promise.reject(new Error('stopped')) : Promise.resolve();
    };
    const answered = writeAnswers(root, folder, configuration, tokenizer, rowsOf(configuration), { ...options, onRow });
    await expect(answered).rejects.toThrow('stopped');
    expect(done).toBe(2);
    expect(readdirSync(join(root, 'cache'))).toEqual([]);
  });
});
