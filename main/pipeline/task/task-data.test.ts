/** A task's rows from its files to training steps: what is held out, what is kept on disk, what a change of the file does. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskSettings } from '../../contract/recipe.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { exampleBatches } from '../../training/batches.ts';
import { rowsInMemory } from '../../training/fixtures/rows-in-memory.ts';
import { checkTask } from './check-task.ts';
import { type PlacedExample, prepareTask, type PreparedTask } from './task-data.ts';
import { tokeniseRows } from './tokenised-rows.ts';

const demo = fileURLToPath(new URL('../../../resources/demo/', import.meta.url));
const goOn = () => Promise.resolve();
const never = () => Promise.reject(new Error('the rows are read again'));
let folder: string;
let tokenizer: Tokenizer;
let train: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-task-data-'));
  tokenizer = await loadTokenizer(join(demo, 'teacher'));
  train = join(folder, 'train.tsv');
  // Over 4096 rows, so that the reader reports on its way.
  const [head, ...rows] = readFileSync(join(demo, 'task', 'train.tsv'), 'utf8')
    .trimEnd()
    .split('\n');
  const many = Array.from({ length: 4200 }, (_, index) => {
    const [text, queue] = rows[index % rows.length]!.split('\t');
    return `${index} ${text!.slice(0, 20 + (index % 60))}\t${queue!}`;
  });
  writeFileSync(train, `${[head, ...many].join('\n')}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const settings = (changes: object = {}) =>
  taskSettings.parse({
    name: 'tickets',
    kind: 'classification',
    train,
    textColumns: ['text'],
    labelColumn: 'queue',
    maxLength: 16,
    ...changes,
  });

async function examplesOf(task: PreparedTask): Promise<PlacedExample[]> {
  const found: PlacedExample[] = [];
  for await (const example of task.train()) found[example.index] = example;
  return found;
}

describe('rows of a task', () => {
  it('gives each row to training or to evaluation, in an order of the seed alone', async () => {
    const task = await prepareTask(settings(), tokenizer, 7);
    expect([task.trainRows, task.dev.length]).toEqual([3780, 420]);
    const texts = (rows: readonly Int32Array[]) => rows.map((ids) => tokenizer.decode([...ids]).trim());
    const examples = await examplesOf(task);
    const trained = texts(examples.map(({ ids, responseStart }) => ids.subarray(0, responseStart)));
    const held = texts(task.dev.map(({ prompt }) => prompt));
    // Every row begins with its number, which survives the cut in the middle.
    expect(new Set([...trained, ...held].map((text) => text.split(' ')[0])).size).toBe(4200);
    expect(await examplesOf(await prepareTask(settings(), tokenizer, 7))).toEqual(examples);
    expect((await examplesOf(await prepareTask(settings(), tokenizer, 8)))[0]).not.toEqual(examples[0]);
  });

  it('takes the first rows of that order where a limit is set', async () => {
    const all = await prepareTask(settings(), tokenizer, 7);
    const some = await prepareTask(settings({ limit: 100 }), tokenizer, 7);
    expect(some.dev).toEqual(all.dev);
    expect(await examplesOf(some)).toEqual((await examplesOf(all)).slice(0, 100));
  });

  it('evaluates rows of an evaluation file up to a bound, drawn by the seed, in its order, and says how many there are', async () => {
    const dev = join(folder, 'dev.tsv');
    const rows = readFileSync(train, 'utf8').trimEnd().split('\n').slice(0, 2101);
    writeFileSync(dev, rows.join('\n'));
    // 2^28 tokens in all: 2048 rows of the longest length.
    const long = settings({ dev, maxLength: 131_072, limit: 100 });
    const task = await prepareTask(long, tokenizer, 7);
    const numbers = (rows: PreparedTask['dev']) =>
      rows.map(({ prompt }) =>
        Number(
          tokenizer
            .decode([...prompt])
            .trim()
            .split(' ')[0],
        ),
      );
    const drawn = numbers(task.dev);
    expect([drawn.length, task.drawnFrom, new Set(drawn).size]).toEqual([2048, 2100, 2048]);
    expect(drawn).toEqual(drawn.toSorted((a, b) => a - b));
    expect(drawn.at(-1)).toBeGreaterThan(2047);
    expect(task.notes).toContainEqual(
      expect.stringMatching(/^2,048 of the 2,100 rows of .*dev.tsv, drawn by the seed/),
    );
    expect(numbers((await prepareTask(long, tokenizer, 7)).dev)).toEqual(drawn);
    expect(numbers((await prepareTask(long, tokenizer, 8)).dev)).not.toEqual(drawn);
    const { warnings } = await checkTask({ settings: { ...long, maxLength: 131_072 } });
    expect(warnings.map(({ text }) => text).join()).toContain('Of the 2,100 evaluation rows, 2,048 will be evaluated');
    const all = await prepareTask(settings({ dev, maxLength: 16 }), tokenizer, 7);
    expect([all.dev.length, all.drawnFrom]).toEqual([2100, null]);
    expect(numbers(all.dev)).toEqual(Array.from({ length: 2100 }, (_, index) => index));
  });

  it('tells a label of the evaluation file that training never sees, in whatever row it stands', async () => {
    const dev = join(folder, 'strange.tsv');
    const [head, ...rows] = readFileSync(train, 'utf8').split('\n').slice(0, 2101);
    writeFileSync(dev, [head, ...rows, 'one more\tnever seen'].join('\n'));
    const task = prepareTask(settings({ dev, maxLength: 131_072, limit: 100 }), tokenizer, 7);
    await expect(task).rejects.toMatchObject({ code: 'bad-input', message: /"never seen"/ });
  });

  it('refuses a file that changes between two readings', async () => {
    const growing = join(folder, 'growing.tsv');
    writeFileSync(growing, readFileSync(train));
    const task = await prepareTask(settings({ train: growing }), tokenizer, 7);
    appendFileSync(growing, readFileSync(train, 'utf8').split('\n').slice(1, 3).join('\n'));
    await expect(examplesOf(task)).rejects.toMatchObject({ code: 'bad-input', message: /has changed while/ });
  });
});

describe('the answer of a row', () => {
  const written = (changes: object = {}) =>
    settings({ kind: 'generation', maxLength: 64, maxNewTokens: 32, ...changes });

  it.each([
    ['the default template', ''],
    ['a template that ends with a line break', '{{ text }}\n\n'],
    ['a template that ends with a word', '{{ text }} Queue:'],
    ['a template whose end depends on the row', '{{ queue }}{{ text }}'],
  ])('has the same tokens in training and in evaluation with %s', async (_, template) => {
    const file = join(folder, 'one.tsv');
    writeFileSync(file, 'text\tqueue\nThe invoice is wrong\tbilling and refunds\nIt never came \tshipping\n');
    const task = await prepareTask(written({ train: file, dev: file, template }), tokenizer, 7);
    const trained = (await examplesOf(task)).map(({ ids, responseStart }) => [...ids.subarray(responseStart)]);
    const evaluated = task.dev.map(({ referenceIds }) => [...referenceIds]);
    expect(evaluated.toSorted()).toEqual(trained.toSorted());
    for (const ids of evaluated) expect(ids.at(-1)).toBe(tokenizer.eosId);
    expect(evaluated.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }).trim())).toEqual([
      'billing and refunds',
      'shipping',
    ]);
  });

  it('is cut so that its end token still fits', async () => {
    const task = await prepareTask(written({ maxNewTokens: 3 }), tokenizer, 7);
    for (const { referenceIds } of task.dev) expect(referenceIds.length).toBeLessThanOrEqual(3);
    for (const { referenceIds } of task.dev) expect(referenceIds.at(-1)).toBe(tokenizer.eosId);
  });
});

describe('training rows on disk', () => {
  const batchSettings = { batchSize: 16, microBatchTokens: 256, seed: 7 };

  it('train as rows in memory do, bit for bit', async () => {
    const task = await prepareTask(settings({ limit: 1000 }), tokenizer, 7);
    const examples = await examplesOf(task);
    const rows = await tokeniseRows(task, tokenizer.vocabSize, join(folder, 'a.tokens'), 'a', goOn);
    const fromDisk = exampleBatches(rows, batchSettings);
    const inMemory = exampleBatches(rowsInMemory(examples), batchSettings);
    expect(fromDisk.stepsPerEpoch).toBe(63);
    for (const step of [1, 2, 62, 63, 64, 1000]) expect(await fromDisk.at(step)).toEqual(await inMemory.at(step));
    expect(rows.full).toBe(examples.filter(({ ids }) => ids.length === 16).length);
    // Two bytes a token, and 16 bytes a row for where it lies.
    const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(statSync(join(folder, 'a.tokens')).size).toBe(2 * tokens + 16 * 1000);
    await rows.close();
  });

  it('take four bytes a token where the vocabulary is large', async () => {
    const task = await prepareTask(settings({ limit: 50 }), tokenizer, 7);
    const rows = await tokeniseRows(task, 100_000, join(folder, 'b.tokens'), 'b', goOn);
    const examples = await examplesOf(task);
    const { ids, responseStart } = examples[49]!;
    expect(await rows.read(49)).toEqual({ ids, responseStart });
    await rows.close();
  });

  it('are used again by the next stage, and made anew when they were damaged or belong to other settings', async () => {
    const task = await prepareTask(settings({ limit: 300 }), tokenizer, 7);
    const path = join(folder, 'c.tokens');
    const make = async (key: string, onRows = goOn): Promise<string> => {
      const rows = await tokeniseRows(task, tokenizer.vocabSize, path, key, onRows);
      await rows.close();
      return rows.fingerprint;
    };
    const first = await make('c');
    expect(await make('c', never)).toBe(first);
    await expect(make('d', never)).rejects.toThrow('read again');
    expect(await make('c')).toBe(first);
    const bytes = readFileSync(path);
    bytes[1000]! ^= 1;
    writeFileSync(path, bytes);
    await expect(make('c', never)).rejects.toThrow('read again');
    expect(await make('c')).toBe(first);
    truncateSync(path, 5000);
    expect(await make('c')).toBe(first);
    expect(statSync(path).size).toBe(bytes.length);
  });
});
