import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkTask } from '../main/pipeline/task/check-task.ts';
import { previewRows } from '../main/pipeline/task/preview-rows.ts';
import { applyPreset, fittingPresets, taskPresets } from '../renderer/wizard/task-presets.ts';

const tasks = fileURLToPath(new URL('../../shared/data/tasks', import.meta.url));

/** What the wizard does with a file: check it, take the first preset that fits, and show the first row. */
async function firstRow(file: string): Promise<{ fits: string[]; prompt: string; answer: string; text: string[] }> {
  const train = join(tasks, file);
  const report = await checkTask({ settings: { train } });
  const fits = fittingPresets(
    report.columns,
    report.train.labels.map(({ label }) => label),
  );
  const mapping = applyPreset(fits[0]!, report.columns, report.mapping)!;
  const { answer } = await previewRows({ settings: { train, ...mapping }, offset: 0, count: 1 });
  const { rows } = answer;
  return {
    fits: fits.map(({ id }) => id),
    prompt: rows[0]!.prompt,
    answer: rows[0]!.answer,
    text: mapping.textColumns,
  };
}

describe.skipIf(!existsSync(tasks))('presets on real files (needs ../shared/data)', () => {
  it('knows MNLI by its classes although its columns are called text_a and text_b', async () => {
    const { fits, prompt, answer } = await firstRow('mnli/train.json');
    expect(fits).toEqual(['mnli']);
    expect(prompt).toBe(
      "Premise: Our hearts are particularly heavy this year as we look back at those we've lost, the Globe writes lovingly.\nHypothesis: We are especially sad this year because we lost a lot of people.\nRelation:",
    );
    expect(answer).toBe('entailment');
  });

  it('knows QNLI, which has the same columns', async () => {
    const { fits, prompt, answer } = await firstRow('qnli/train.json');
    expect(fits).toEqual(['qnli']);
    expect(prompt).toMatch(
      /^Question: What sector has .*\?\nSentence: The IT sector .*\nDoes the sentence answer the question\?$/,
    );
    expect(answer).toBe('not_entailment');
  });

  it('knows SST-2', async () => {
    const { fits, prompt } = await firstRow('sst2/dev.tsv');
    expect(fits[0]).toBe('sst2');
    expect(prompt).toMatch(/^it 's a charming .*\nSentiment:$/);
  });

  it('takes the sentences of SciTLDR as one document and leaves its scores alone', async () => {
    const { fits, prompt, text, answer } = await firstRow('scitldr/dev.jsonl');
    expect(fits).toEqual(['summarisation']);
    expect(text).toEqual(['source']);
    expect(prompt).toMatch(/\nSummary:$/);
    expect(prompt.length).toBeGreaterThan(300);
    expect(answer.length).toBeGreaterThan(20);
  });
});

describe('a preset', () => {
  it('is told apart by the classes where the columns are the same', () => {
    const columns = ['sentence1', 'sentence2', 'label'];
    expect(fittingPresets(columns, ['entailment', 'neutral', 'contradiction']).map(({ id }) => id)).toEqual(['mnli']);
    expect(fittingPresets(columns, ['entailment', 'not_entailment']).map(({ id }) => id)).toEqual(['qnli']);
    expect(fittingPresets(columns, ['red', 'green'])).toEqual([]);
  });

  it('can be laid over any file with enough columns', () => {
    const questions = taskPresets.find(({ id }) => id === 'questions')!;
    const now = { textColumns: ['Manual page', 'ask'], labelColumn: 'reply' };
    expect(applyPreset(questions, ['Manual page', 'ask', 'reply'], now)).toEqual({
      kind: 'generation',
      textColumns: ['Manual page', 'ask'],
      labelColumn: 'reply',
      template: '{{ row["Manual page"] }}\nQuestion: {{ ask }}\nAnswer:',
    });
    expect(applyPreset(questions, ['ask', 'reply'], { textColumns: ['ask'], labelColumn: 'reply' })).toBeNull();
  });
});
