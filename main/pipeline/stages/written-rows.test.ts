/** Rows that the teacher writes: what they are made of, that a stop changes none, what is dropped, and what the student makes of them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Generation } from '../../../native/runtime.ts';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, teacherWrites } from '../../contract/recipe.ts';
import { writtenRowsPath } from '../../experiment/folder.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { runJob } from '../run-job.ts';
import { openTask } from '../task/open-task.ts';
import type { RowTexts } from '../task/task-texts.ts';
import { beginningOf, shownTexts, writeRow } from './row-writer.ts';
import { writtenRows } from './written-rows.ts';

let root: string;
let recipe: Recipe;
let tokenizer: Tokenizer;
let folders = 0;
const wanted = 20;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-written-'));
  recipe = {
    ...(await makeTinyExperiment(root, { pretrain: null })),
    teacherWrites: teacherWrites.parse({ rows: wanted }),
  };
  tokenizer = await loadTokenizer(recipe.teacher);
});
afterAll(() => rmSync(root, { recursive: true }));
const newFolder = (): string => join(root, `experiment-${(folders += 1)}`);

/** Writes the rows into `folder`. @param until a stop is asked for after this */
async function write(folder: string, of = recipe, until: (note: string) => boolean = () => false) {
  const spec = { kind: 'distil' as const, recipe: of, folder };
  let stop = false;
  const notes: string[] = [];
  const emit = (event: JobEvent): void => {
    if (event.type !== 'progress') return;
    notes.push(event.note ?? '');
    stop ||= until(event.note ?? '');
  };
  const { task } = await openTask(spec);
  const run = writtenRows(spec, task, tokenizer, { emit, stopRequested: () => (stop ? 'pause' : null) });
  return { found: await run.catch((thrown: unknown) => thrown), notes };
}
const fileOf = (folder: string): string => readFileSync(writtenRowsPath(folder), 'utf8');
const rowsOf = (folder: string): RowTexts[] =>
  fileOf(folder)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RowTexts);

describe('rows that the teacher writes', () => {
  let whole: string;

  it('go on from beginnings of training rows, each another, and are the same for the same seed', async () => {
    whole = newFolder();
    const { found, notes } = await write(whole);
    expect(found).toMatchObject({ rows: rowsOf(whole) });
    const texts = rowsOf(whole).map(({ text }) => text!);
    expect(new Set(texts).size).toBe(wanted);
    const training = readFileSync(recipe.task.train, 'utf8');
    for (const text of texts) {
      // At least a tenth of some row.
      expect(training.replace(/\s+/g, ' ')).toContain(text.slice(0, 4));
      expect(training).not.toContain(text);
    }
    expect(notes.at(-1)).toBe(`${wanted} of ${wanted} rows written by the teacher`);
    const again = newFolder();
    await write(again, { ...recipe, threads: 2 });
    expect(fileOf(again)).toBe(fileOf(whole));
    const other = newFolder();
    await write(other, { ...recipe, seed: 5 });
    expect(fileOf(other)).not.toBe(fileOf(whole));
  });

  it('are gone on with after a stop, to the same file, and written anew where it was damaged', async () => {
    const folder = newFolder();
    const first = await write(folder, recipe, () => true);
    expect(first.found).toMatchObject({ request: 'pause' });
    const begun = fileOf(folder);
    expect(begun.split('\n').length).toBeLessThan(wanted);
    // As a killed process leaves it: more was written than noted.
    writeFileSync(writtenRowsPath(folder), `${begun}{"text": "half a r`);
    const second = await write(folder);
    expect(second.notes.length).toBeGreaterThan(0);
    expect(fileOf(folder)).toBe(fileOf(whole));
    expect((await write(folder)).notes).toEqual([]);
    writeFileSync(writtenRowsPath(folder), fileOf(whole).replace('e', 'x'));
    expect((await write(folder)).notes.length).toBeGreaterThan(0);
    expect(fileOf(folder)).toBe(fileOf(whole));
  });

  it('are none that are, or nearly are, training or evaluation rows or written before', async () => {
    const { task } = await openTask({ recipe, folder: newFolder() });
    const texts = await task.texts({ most: 30, apart: 0 });
    expect(texts.rows).toHaveLength(30);
    const [, evaluated] = readFileSync(recipe.task.dev!, 'utf8').split('\n');
    const column = readFileSync(recipe.task.dev!, 'utf8').split('\n')[0]!.split('\t').indexOf('text');
    expect(texts.taken({ text: evaluated!.split('\t')[column]!.toUpperCase() })).toBe('evaluation');
    expect(texts.taken(texts.rows[3]!)).toBe('training');
    const long = 'a text about parcels that nobody in either of the two files has ever written, with many words in it';
    expect(texts.taken({ text: long })).toBeNull();
    expect(texts.taken({ text: `${long}.` })).toBe('training');
    // Rows that are set apart, and those that are held out, begin none.
    const apart = await task.texts({ most: 1000, apart: 50 });
    expect(apart.rows).toEqual((await task.texts({ most: 30, apart: 0 })).rows);
    const held: Recipe = { ...recipe, task: { ...recipe.task, dev: undefined, devFraction: 0.25 } };
    const own = (await openTask({ recipe: held, folder: newFolder() })).task;
    const kept = await own.texts({ most: 1000, apart: 0 });
    expect(kept.rows).toHaveLength(60);
    const lines = readFileSync(recipe.task.train, 'utf8').trim().split('\n').slice(1);
    const taken = lines.map((line) => kept.taken({ text: line.split('\t')[column]! }));
    expect(taken.filter((why) => why === 'evaluation').length).toBeGreaterThanOrEqual(20);
    expect(taken.includes(null)).toBe(false);
  });

  it('are learned in Stage 3 with the teacher’s answers, for as long as estimate and baseline say', async () => {
    const folder = newFolder();
    const epoch: Recipe = { ...recipe, distil: { ...recipe.distil, epochs: 1, steps: undefined } };
    const events: JobEvent[] = [];
    const run = async (kind: JobKind) =>
      runJob({ kind, recipe: epoch, folder }, { stopRequested: () => null, emit: (event) => events.push(event) });
    for (const kind of ['finetune', 'refine'] as const) await run(kind);
    const steps = Math.ceil((80 + wanted) / 8);
    expect(await run('distil')).toEqual({ steps });
    expect(await run('baseline')).toEqual({ steps });
    const said = events.flatMap((event) => (event.type === 'log' ? [event.text] : [])).join('\n');
    expect(said).toContain(`The teacher wrote ${wanted} rows: ${writtenRowsPath(folder)}.`);
    expect(said).toContain(`The teacher answered ${wanted} rows without labels: `);
    const forecast = async (of: Recipe) => (await forecastRecipe(of)).stages.find(({ kind }) => kind === 'distil')!;
    const [with20, without] = [await forecast(epoch), await forecast({ ...epoch, teacherWrites: undefined })];
    expect(with20.steps).toBe(steps);
    expect(with20.work / without.work).toBeGreaterThan((80 + wanted) / 80);
  });
});

describe('a row', () => {
  /** A model that answers what it is told to, and what it was asked. */
  function speaking(answers: string[]) {
    const asked: string[] = [];
    const generate = (
      ids: Int32Array,
      { maxTokens }: { maxTokens: number },
      onToken?: (token: number) => boolean | undefined,
    ): Promise<Generation> => {
      asked.push(tokenizer.decode([...ids], { skipSpecialTokens: true }));
      const all = tokenizer.encode(answers.shift()!);
      const tokens = Int32Array.from(all.slice(0, maxTokens));
      for (const token of tokens) if (onToken?.(token) === false) break;
      return Promise.resolve({ tokens, reason: 'stop', promptTokens: ids.length, prefillSeconds: 0, decodeSeconds: 0 });
    };
    return { asked, batch: { generate } };
  }
  const rows = [{ question: 'where is\nmy parcel', answer: 'in the   depot of the city' }];
  const settings = teacherWrites.parse({ rows: 1, examples: 2 });
  const of = (answers: string[], more = {}) => {
    const { asked, batch } = speaking(answers);
    const textColumns = ['question', 'answer'];
    const own = { batch, tokenizer, contextLength: 128, textColumns, maxLength: 100, settings, seed: 1, rows };
    return { asked, writer: { ...own, ...more } };
  };
  const { signal } = new AbortController();

  it('is written column by column, each on a line, after examples', async () => {
    const { asked, writer } = of([' is my money\nand', ' on its way\n']);
    const row = (await writeRow(writer, 0, signal))!;
    expect(row).toEqual({ question: expect.stringMatching(/^where\b.* is my money$/), answer: 'on its way' });
    const example = 'question: where is my parcel\nanswer: in the depot of the city';
    expect(asked[0]).toMatch(new RegExp(`${example}\n\n${example}\n\nquestion: where`));
    expect(asked[1]!.endsWith(`question: ${row.question!}\nanswer:`)).toBe(true);
  });

  it('makes room for itself where the context is short, and is none where nothing was added', async () => {
    const { asked, writer } = of([' x\n', ' y\n'], { contextLength: 50 });
    expect(await writeRow(writer, 0, signal)).not.toBeNull();
    expect(asked[0]!.split('question:').length - 1).toBeLessThan(3);
    expect(await writeRow(of(['\nnext']).writer, 0, signal)).toBeNull();
    const cancel = new AbortController();
    cancel.abort();
    expect(await writeRow(of([' x\n', ' y\n']).writer, 0, cancel.signal)).toBeNull();
  });

  it('shows no more of a row than training sees of it: each column its part, up to the end of a word', async () => {
    const long = { question: 'where is my parcel '.repeat(30), answer: 'in the depot of the city '.repeat(15) };
    const { asked, writer } = of([' x\n', ' y\n'], { contextLength: 1000, maxLength: 40, rows: [long] });
    const shown = shownTexts(long, writer);
    const tokens = (text: string): number => tokenizer.encode(text).length;
    const [question, answer] = [shown.question!, shown.answer!];
    expect(tokens(question) + tokens(answer)).toBeLessThanOrEqual(40);
    expect(tokens(question) + tokens(answer)).toBeGreaterThan(30);
    expect(tokens(question) / tokens(answer)).toBeCloseTo(tokens(long.question) / tokens(long.answer), 0);
    for (const column of ['question', 'answer'] as const) expect(`${long[column]} `).toContain(`${shown[column]!} `);
    expect(await writeRow(writer, 0, signal)).not.toBeNull();
    const example = `question: ${question}\nanswer: ${answer}`;
    expect(asked[0]!.startsWith(`${example}\n\n${example}\n\nquestion: where`)).toBe(true);
    // The row that is gone on from is no longer than half of what is shown.
    expect(tokens(asked[0]!.split('\n\n')[2]!)).toBeLessThan(40);

    expect(shownTexts(rows[0]!, writer)).toEqual({
      question: 'where is my parcel',
      answer: 'in the depot of the city',
    });
    const unbroken = shownTexts({ question: '东西在哪里呢'.repeat(40), answer: '' }, writer);
    expect('东西在哪里呢'.repeat(40).startsWith(unbroken.question!)).toBe(true);
    expect(unbroken.question!.length).toBeGreaterThan(1);
    expect(unbroken.answer).toBe('');
  });

  it('begins with whole words, or with characters where there are none', () => {
    expect(beginningOf('one two three four', 0.5)).toBe('one two');
    expect(beginningOf('one two', 0.1)).toBe('o');
    expect(beginningOf('东西在哪里呢', 0.5)).toBe('东西在');
  });
});
