import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import { tellError } from '../../contract/messages/told.ts';
import { taskSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { makeTinyBase } from '../fixtures/tiny-experiment.ts';
import { checkTask } from './check-task.ts';
import { prepareTask } from './task-data.ts';

const shared = fileURLToPath(new URL('../../../../shared/data', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-task-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('the check of a task', () => {
  it('finds empty, repeated, contradicting and shared rows, with their row numbers', async () => {
    const train = file(
      'train.tsv',
      'sentence\tlabel\ngood film\t1\nbad film\t0\n\t1\ndull\t\ngood film\t1\nbad film\t1\nfine\t1\nweak\t0\n',
    );
    const dev = file('dev.tsv', 'sentence\tlabel\nbad film\t0\nnew one\t1\n');
    const report = await checkTask({ settings: { train, dev } });
    expect(report.mapping).toEqual({
      kind: 'classification',
      textColumns: ['sentence'],
      labelColumn: 'label',
      guessed: ['kind', 'textColumns', 'labelColumn'],
    });
    const found = report.train.problems.map(({ kind, effect, rows, examples }) => [kind, effect, rows, examples]);
    expect(found).toEqual([
      ['empty-text', 'dropped', 1, [4]],
      ['empty-label', 'dropped', 1, [5]],
      ['duplicate', 'kept', 1, [6]],
      ['duplicate-conflict', 'kept', 1, [7]],
    ]);
    expect([report.train.rows, report.train.usableRows]).toEqual([8, 6]);
    expect(report.train.labels).toEqual([
      { label: '1', rows: 4 },
      { label: '0', rows: 2 },
    ]);
    expect(report.sharedRows).toBe(1);
    expect(report.dev!.problems[0]).toMatchObject({ kind: 'shared-between-splits', rows: 1, examples: [2] });
    expect(report.trainable).toBe(true);
  });

  it('refuses a single class, and a label that was never seen in training', async () => {
    const one = await checkTask({ settings: { train: file('one.csv', 'text,label\na,x\nb,x\n') } });
    expect(one.trainable).toBe(false);
    expect(one.blockers).toMatchObject([{ id: 'labels.only-one', params: { label: 'x' } }]);
    const unseen = await checkTask({
      settings: {
        train: file('t.jsonl', '{"text":"a","label":"x"}\n{"text":"b","label":"y"}\n'),
        dev: file('d.jsonl', '{"text":"c","label":"z"}\n'),
      },
    });
    expect(unseen.unseenDevLabels).toEqual(['z']);
    expect(unseen.trainable).toBe(false);
    expect(unseen.dev!.problems).toMatchObject([{ kind: 'unknown-label', examples: [1] }]);
  });

  /** A base whose tokenizer marks words in front, as Llama's does: the same word gets the mark or not, as the prompt ends. */
  async function baseThatMarksWords(): Promise<string> {
    const base = join(folder, 'base');
    const shape = { num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 };
    await makeTinyBase(base, { hidden_size: 64, ...shape });
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true };
    const merges = ['y e', 'ye s', '▁ yes'];
    const single = ['<unk>', '<s>', '</s>', '<pad>', '▁', '\n', ...'abcdefghijklmnopqrstuvwxyz:'];
    const tokens = [...single, ...merges.map((pair) => pair.replace(' ', ''))];
    const model = {
      type: 'BPE',
      unk_token: '<unk>',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    };
    const definition = { model, added_tokens: [], pre_tokenizer: metaspace, decoder: metaspace };
    writeFileSync(join(base, 'tokenizer.json'), JSON.stringify(definition));
    return base;
  }

  it.each([
    ['which sets the answers apart', '{{ text }}:', true],
    ['which makes two answers one', '{{ text }}: ', false],
  ])('chooses label words by the real end of the prompt, %s, as training does', async (_, template, trainable) => {
    const teacher = await baseThatMarksWords();
    const settings = {
      train: file('train.tsv', 'text\tlabel\na film\tp\nb film\tn\nc film\tp\nd film\tn\n'),
      kind: 'classification' as const,
      textColumns: ['text'],
      labelColumn: 'label',
      labelWords: { p: 'yes', n: ' yes' },
      template,
      maxLength: 32,
    };
    const report = await checkTask({ settings, teacher });
    const blockers = report.blockers.map(({ text }) => text).join();
    expect(blockers).toMatch(trainable ? /^$/ : /same answer in tokens/);
    const task = taskSettings.parse({ name: 'films', dev: settings.train, ...settings });
    const trained = prepareTask(task, await loadTokenizer(teacher), 1).then(
      () => '',
      (thrown: unknown) => tellError(TritsmithError.from(thrown)).text,
    );
    expect(await trained).toBe(blockers);
  });

  it('counts as too long the rows that training and evaluation cut, whatever the labels take in tokens', async () => {
    const base = join(folder, 'base');
    await makeTinyBase(base, {
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const tokenizer = await loadTokenizer(base);
    // No prompt is another one cut in the middle.
    const prompts = Array.from({ length: 24 }, (_, row) => `text ${'abcdefghijklmnopqrstuvwx'.slice(0, row)}:`);
    const lines = ['text\tlabel', ...prompts.flatMap((text) => [`${text}\tshort`, `${text}\tlong`])];
    const settings = taskSettings.parse({
      name: 'rows',
      kind: 'classification',
      train: file('train.tsv', `${lines.join('\n')}\n`),
      dev: file('dev.tsv', `${lines.join('\n')}\n`),
      textColumns: ['text'],
      labelColumn: 'label',
      template: '{{ text }}',
      labelWords: { short: ' A', long: ' a much longer answer than the other one' },
      maxLength: 20,
    });
    const report = await checkTask({ settings, teacher: base });
    const cutRows = (split: typeof report.train): number =>
      split.problems.find(({ kind }) => kind === 'too-long')?.rows ?? 0;
    const whole = new Set(prompts.map((prompt) => tokenizer.encode(prompt).join()));
    const task = await prepareTask(settings, tokenizer, 1);
    let cut = 0;
    for await (const { ids, responseStart } of task.train())
      if (!whole.has(ids.subarray(0, responseStart).join())) cut += 1;
    expect(Math.max(...task.labels!.ids.map(({ length }) => length))).toBeGreaterThan(2);
    expect(cutRows(report.train)).toBe(cut);
    const cutInEvaluation = task.dev.filter(({ prompt }) => !whole.has(prompt.join())).length;
    expect(cutInEvaluation).toBeGreaterThan(cut);
    expect(cutRows(report.dev!)).toBe(cutInEvaluation);
  });

  it('names the columns that there are when one is missing', async () => {
    const train = file('train.csv', 'text,label\na,x\nb,y\n');
    await expect(checkTask({ settings: { train, textColumns: ['body'] } })).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('"body"') as unknown,
      reason: expect.stringContaining('"text"') as unknown,
    });
  });

  it.skipIf(!existsSync(join(shared, 'tasks')))('reads SST-2 with the tokenizer of story-656k', async () => {
    const report = await checkTask({
      settings: { train: join(shared, 'tasks', 'sst2', 'dev.tsv'), maxLength: 64 },
      teacher: join(shared, 'models', 'story-656k'),
    });
    expect(report.train.usableRows).toBe(872);
    expect(report.train.labels).toEqual([
      { label: '1', rows: 444 },
      { label: '0', rows: 428 },
    ]);
    expect(report.train.lengths.unit).toBe('tokens');
    expect(report.train.lengths.bins.reduce((sum, bin) => sum + bin.rows, 0)).toBe(872);
    const cut = report.train.problems.find(({ kind }) => kind === 'too-long')!;
    const above = report.train.lengths.bins.filter(({ upTo }) => upTo > 64).reduce((sum, bin) => sum + bin.rows, 0);
    expect(cut.rows).toBeGreaterThanOrEqual(above);
    expect(report.trainable).toBe(true);
  });

  it.skipIf(!existsSync(join(shared, 'tasks')))('maps QNLI’s pairs by id and SciTLDR’s summaries', async () => {
    const qnli = await checkTask({ settings: { train: join(shared, 'tasks', 'qnli', 'val.json') } });
    expect(qnli.mapping).toMatchObject({
      kind: 'classification',
      textColumns: ['text_a', 'text_b'],
      labelColumn: 'label',
    });
    expect(qnli.train.usableRows).toBe(1000);
    const scitldr = await checkTask({ settings: { train: join(shared, 'tasks', 'scitldr', 'dev.jsonl') } });
    expect(scitldr.mapping).toMatchObject({ kind: 'generation', labelColumn: 'target' });
    expect(scitldr.mapping.textColumns).toContain('source');
    expect(scitldr.train.usableRows).toBe(619);
  });
});
