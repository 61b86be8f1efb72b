import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TaskSettings, taskSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { previewRows } from './preview-rows.ts';
import { prepareTask } from './task-data.ts';

const teacher = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
let folder: string;
let train: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-preview-'));
  train = join(folder, 'train.tsv');
  const sentence = 'My parcel has not come although it was sent a week ago';
  const rows = Array.from({ length: 12 }, (_, row) => {
    const words = sentence.split(' ').slice(0, 1 + row);
    return `${words.join(' ')}\t${row % 2 === 0 ? 'a delivery that did not come at all' : 'money'}`;
  });
  writeFileSync(train, `${['text\tanswer', ...rows].join('\n')}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const settings = (changes: Partial<TaskSettings>): TaskSettings =>
  taskSettings.parse({
    name: 'rows',
    kind: 'classification',
    train,
    dev: train,
    textColumns: ['text'],
    labelColumn: 'answer',
    maxLength: 16,
    ...changes,
  });

describe('the preview of a task', () => {
  it.each([
    ['labels of one token', { maxLength: 9 }],
    [
      'labels of several tokens',
      { labelWords: { money: ' money', 'a delivery that did not come at all': ' not come at all' } },
    ],
    ['texts', { kind: 'generation', maxNewTokens: 6 }],
  ] as const)('cuts the prompts of every row as training does: %s', async (_, changes) => {
    const tokenizer = await loadTokenizer(teacher);
    const task = settings(changes as Partial<TaskSettings>);
    const prepared = await prepareTask(task, tokenizer, 1);
    const trained: string[] = [];
    for await (const { ids, responseStart } of prepared.train())
      trained.push(tokenizer.decode(ids.subarray(0, responseStart)));
    const { answer } = await previewRows({ settings: task, teacher, offset: 0, count: 50 });
    expect(answer.rows.filter(({ cut }) => cut !== null).length).toBeGreaterThan(1);
    expect(answer.rows.map(({ prompt, cut }) => prompt.length - (cut ?? '').length)).toEqual(
      trained.map(({ length }) => length),
    );
    for (const [row, { prompt, cut }] of answer.rows.entries()) {
      // What is left of the prompt without what is cut is what was trained on.
      const places = [...prompt].map((_letter, at) => prompt.slice(0, at) + prompt.slice(at + (cut ?? '').length));
      expect(cut === null ? [prompt] : places).toContain(trained[row]);
    }
  });

  it('finds out once which labels a file has, and again when the file or the settings change', async () => {
    const request = { settings: settings({}), teacher, offset: 4, count: 2 };
    const { survey } = await previewRows(request);
    expect(survey).toMatchObject({
      counts: [
        ['a delivery that did not come at all', 6],
        ['money', 6],
      ],
      tail: 'My',
    });
    // What is handed over is believed as it stands: the file was not read for it.
    const marked = { ...survey!, counts: [['marked', 1] as [string, number]] };
    expect((await previewRows({ ...request, offset: 6 }, marked)).survey).toEqual(marked);
    const other = { ...request, settings: settings({ template: '{{ text }}:' }) };
    expect((await previewRows(other, marked)).survey).toMatchObject({
      counts: survey!.counts,
      tail: expect.stringMatching(/:$/) as unknown,
    });
    appendFileSync(train, 'one more\tsomething else\n');
    expect((await previewRows(request, marked)).survey!.counts).toEqual([...survey!.counts, ['something else', 1]]);
  });
});
