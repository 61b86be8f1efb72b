/** A task's files are read once for an experiment, not once for every job; what is kept changes no result and is never believed wrongly. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { answerRequest } from '../../contract/helper-protocol.ts';
import type { JobKind } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type * as datasets from '../../formats/datasets/index.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { answerOnce } from '../answer/answer.ts';
import { classifyTexts } from '../answer/classify.ts';
import { differingRows } from '../evaluate/differing-rows.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { jobsOf } from '../inspect/cost.ts';
import { runJob } from '../run-job.ts';
import { type PreparedTask, prepareTask, readLabelWords } from './task-data.ts';

const opened: string[] = [];
// Counts, and goes on to the real reader.
vi.mock('../../formats/datasets/index.ts', async (original) => {
  const real = await original<typeof datasets>();
  return {
    ...real,
    openDataset: (path: string) => {
      opened.push(path);
      return real.openDataset(path);
    },
  };
});

let root: string;
let recipe: Recipe;
let tokenizer: Tokenizer;
const context = { emit: () => undefined, stopRequested: () => null };

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-task-cache-'));
  // llama.cpp counts as not installed.
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  recipe = await makeTinyExperiment(root);
  tokenizer = await loadTokenizer(recipe.teacher);
});
afterAll(() => rmSync(root, { recursive: true }));

const times = (path: string): number => opened.filter((name) => name === path).length;
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('an experiment', () => {
  const whole = (): string => join(root, 'whole');
  const held = (): Recipe => {
    const small = structuredClone({ ...recipe, pretrain: null, baseline: false });
    delete small.task.dev;
    return small;
  };

  it('reads its training file in the first job alone: to count, to survey, to tokenise', async () => {
    mkdirSync(whole());
    opened.length = 0;
    const kinds: JobKind[] = jobsOf(recipe);
    expect(kinds).toEqual(expect.arrayContaining(['refine', 'distil', 'baseline', 'evaluate', 'export']));
    for (const kind of kinds) await runJob({ kind, recipe, folder: whole() }, context);
    expect(times(recipe.task.train)).toBe(3);
    expect(times(recipe.task.dev!)).toBe(1);
  });

  it('reads it for no view of its results', async () => {
    const record = {
      id: 'a',
      name: recipe.name,
      state: 'done',
      recipe,
      seed: recipe.seed,
      created: 0,
      started: 0,
      ended: 0,
      machine: { platform: '', architecture: '', processor: '', cores: 1, memoryBytes: 1 },
      versions: {},
      error: null,
      stages: [],
      artifacts: [],
    };
    writeFileSync(join(whole(), 'experiment.json'), JSON.stringify(record));
    opened.length = 0;
    const { rows } = await differingRows({ folder: whole(), first: 'teacher', second: 'bitdistill', limit: 5 });
    expect(rows).toBe(20);
    const path = join(
      whole(),
      'exports',
      readdirSync(join(whole(), 'exports')).find((name) => name.includes('i2_s'))!,
    );
    const common = { path, tokenizer: recipe.teacher, task: recipe.task, seed: recipe.seed, experiment: whole() };
    const input = { text: 'Where is my parcel?' };
    const said: string[] = [];
    await answerOnce(answerRequest.parse({ ...common, input, maxTokens: 4 }), ({ type }) => said.push(type));
    const signal = new AbortController().signal;
    await classifyTexts({ ...common, source: { input } }, ({ type }) => said.push(type), signal);
    expect(said).toEqual(['loaded', 'labels', 'answered', 'loaded', 'classified']);
    expect(opened).toEqual([]);
  });

  it.each([
    ['an evaluation file', () => ({ ...recipe, pretrain: null, baseline: false })],
    ['rows held out', held],
  ])('with %s has the results of one that keeps nothing, bit for bit', async (name, of) => {
    const ran = async (keeps: boolean): Promise<string[]> => {
      const folder = join(root, `${name}-${String(keeps)}`);
      mkdirSync(folder);
      for (const kind of ['finetune', 'refine', 'distil', 'evaluate'] as const) {
        await runJob({ kind, recipe: of(), folder }, context);
        expect(existsSync(join(folder, 'cache', 'survey.json'))).toBe(true);
        if (!keeps) rmSync(join(folder, 'cache'), { recursive: true });
      }
      return ['student/model.safetensors', 'evaluations/bitdistill.json', 'evaluations/teacher.json'].map((path) =>
        sha256(join(folder, path)),
      );
    };
    expect(await ran(true)).toEqual(await ran(false));
  });

  it('is calibrated on the rows that it is trained on, however rare a class is', async () => {
    const lines = readFileSync(recipe.task.train, 'utf8').trimEnd().split('\n');
    const train = join(root, 'rare.tsv');
    const [head, first, ...rest] = lines;
    const many = Array.from({ length: 6 }, () => rest.map((line) => line.replace(/\t.*/, '\tcommon'))).flat();
    writeFileSync(train, [head, first!.replace(/\t.*/, '\trare'), ...many].join('\n'));
    const labelWords = { common: 'one', rare: 'other' };
    const task = { ...recipe.task, train, dev: train, labelWords };
    const folder = join(root, 'rare');
    mkdirSync(folder);
    // It is not among the rows that calibration looks at.
    await expect(prepareTask({ ...task, limit: 64 }, tokenizer, recipe.seed)).rejects.toThrow(/"rare" has no training/);
    await expect(
      runJob({ kind: 'refine', recipe: { ...recipe, finetune: null, task }, folder }, context),
    ).resolves.toEqual({
      norms: 2,
    });
  });
});

describe('what an experiment keeps of its task', () => {
  let experiment: string;
  let train: string;
  beforeEach(() => {
    experiment = mkdtempSync(join(root, 'kept-'));
    train = join(experiment, 'train.tsv');
    cpSync(recipe.task.train, train);
    opened.length = 0;
  });
  afterEach(() => vi.restoreAllMocks());

  /** With the rows of training, so that tasks can be compared whole. */
  async function prepared(changes: object = {}): Promise<object> {
    const task = await prepareTask({ ...recipe.task, train, ...changes }, tokenizer, 1, { experiment });
    return comparable(task);
  }
  async function comparable({ train: rows, ...task }: PreparedTask): Promise<object> {
    const examples = [];
    for await (const row of rows()) examples.push(row);
    // A function of each.
    return { ...task, texts: undefined, examples };
  }

  const kinds = [
    ['classes', {}],
    ['classes, held out', { dev: undefined, devFraction: 0.2 }],
    ['texts', { kind: 'generation', maxNewTokens: 6 }],
    ['texts, held out', { kind: 'generation', maxNewTokens: 6, dev: undefined }],
  ] as const;
  it.each(kinds)('is the task as it was read: %s', async (_, changes) => {
    appendFileSync(train, '\tno text\n');
    const read = await comparable(await prepareTask({ ...recipe.task, train, ...changes }, tokenizer, 1));
    expect(await prepared(changes)).toEqual(read);
    opened.length = 0;
    expect(await prepared(changes)).toEqual(read);
    // For the rows of training.
    expect(opened).toEqual([train]);
    expect((read as PreparedTask).notes[0]).toMatch(/^1 rows of/);
  });

  it.each([
    ['survey.json', 'gone', 2],
    ['survey.json', 'cut', 2],
    ['evaluation.tokens', 'gone', 2],
    ['evaluation.tokens', 'cut', 2],
    ['evaluation.tokens', 'changed', 2],
    ['evaluation.tokens.json', 'cut', 2],
  ])('is made again, without a word, when %s is %s', async (name, how, readings) => {
    const changes = { dev: undefined };
    const before = await prepared(changes);
    const path = join(experiment, 'cache', name);
    const bytes = readFileSync(path);
    if (how === 'gone') rmSync(path);
    else if (how === 'cut') writeFileSync(path, bytes.subarray(0, bytes.length / 2));
    else {
      bytes[10]! ^= 1;
      writeFileSync(path, bytes);
    }
    opened.length = 0;
    expect(await prepared(changes)).toEqual(before);
    expect(times(train)).toBe(readings + 1);
    opened.length = 0;
    expect(await prepared(changes)).toEqual(before);
    expect(times(train)).toBe(1);
  });

  it('is made again when a file or a setting has changed', async () => {
    const dev = join(experiment, 'dev.tsv');
    cpSync(recipe.task.dev!, dev);
    const before = await prepared({ dev });
    appendFileSync(train, 'one more row of text\trefund\n');
    const longer = (await prepared({ dev })) as { trainRows: number };
    expect(longer.trainRows).toBe((before as typeof longer).trainRows + 1);
    appendFileSync(dev, 'one more row of text\trefund\n');
    expect(((await prepared({ dev })) as { dev: unknown[] }).dev).toHaveLength(21);
    opened.length = 0;
    await prepared({ dev, maxLength: 24 });
    expect([times(train), times(dev)]).toEqual([3, 1]);
  });

  it('serves the label words too', async () => {
    const settings = { ...recipe.task, train };
    const read = await readLabelWords(settings, tokenizer, 1);
    expect(await readLabelWords(settings, tokenizer, 1, experiment)).toEqual(read);
    opened.length = 0;
    expect(await readLabelWords(settings, tokenizer, 1, experiment)).toEqual(read);
    expect(opened).toEqual([]);
    appendFileSync(train, 'one more row of text\ta class of its own\n');
    expect((await readLabelWords(settings, tokenizer, 1, experiment)).classes).toContain('a class of its own');
  });

  it('is not missed where it cannot be written', async () => {
    writeFileSync(join(experiment, 'cache'), 'a file where the folder should be');
    expect(await prepared()).toEqual(await comparable(await prepareTask({ ...recipe.task, train }, tokenizer, 1)));
  });
});
