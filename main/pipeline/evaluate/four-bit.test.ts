/** The 4-bit baseline for real: a small teacher, written as Q4_0, evaluated and measured in llama.cpp. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JobEvent } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { llamaCppForTests, needsLlamaCpp } from '../../testing/llama-cpp.ts';
import { startLlamaCpp } from '../../llama-cpp/index.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { readEvaluation } from '../../experiment/results.ts';
import {
  tinyConfiguration,
  tinyParameters,
  tokenizerFolder,
  writeTinySource,
} from '../../models/fixtures/tiny-model.ts';
import { fourBitBaseline } from './four-bit.ts';
import { JobStopped } from '../job.ts';
import { scoreLabelsInLlamaCpp } from '../task/label-scores.ts';

const component = llamaCppForTests();
const demoTask = new URL('../../../resources/demo/task/', import.meta.url);

let root: string;
let base: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-four-bit-'));
  base = join(root, 'base');
  const teacher = tinyConfiguration({ ternary: false, subln: 'none' });
  await writeTinySource(base, teacher);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(tokenizerFolder, name), join(base, name));
  cpSync(base, join(root, 'source'), { recursive: true });
  await saveModelFolder(base, join(root, 'source'), teacher, tinyParameters(teacher));
  const lines = readFileSync(new URL('train.tsv', demoTask), 'utf8').split('\n');
  writeFileSync(join(root, 'train.tsv'), `${lines.slice(0, 41).join('\n')}\n`);
  writeFileSync(join(root, 'dev.tsv'), `${[lines[0], ...lines.slice(41, 53)].join('\n')}\n`);
});
beforeEach(() => {
  // The job looks for the component itself, wherever the tests have it from.
  if (component !== null) vi.stubEnv('TRITSMITH_COMPONENTS', join(component, '..'));
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function recipeFor(task: object): Recipe {
  return recipeSchema.parse({
    name: 'tiny',
    teacher: base,
    threads: 1,
    task: {
      name: 'tickets',
      train: join(root, 'train.tsv'),
      dev: join(root, 'dev.tsv'),
      maxLength: 56,
      ...task,
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { optimiser: { learningRate: 1e-3 } },
    baseline: false,
    exports: [],
  });
}

/** The experiment's folder, with the file of an earlier one where there is one. */
function experiment(name: string, earlier?: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  if (earlier !== undefined) cpSync(join(root, earlier, 'exports'), join(folder, 'exports'), { recursive: true });
  return folder;
}

async function run(folder: string, task: object, stopAfterRow = Number.POSITIVE_INFINITY) {
  const events: JobEvent[] = [];
  let rows = 0;
  const result = await fourBitBaseline(
    { kind: 'four-bit', recipe: recipeFor(task), folder },
    {
      emit: (event) => {
        events.push(event);
        if (event.type === 'progress' && event.unit === 'rows') rows = event.done;
      },
      stopRequested: () => (rows >= stopAfterRow ? 'cancel' : null),
    },
  );
  return { events, result };
}

const classification = { kind: 'classification', textColumns: ['text'], labelColumn: 'queue' };
/** Writes the beginning of a text after its queue. */
const generation = { kind: 'generation', textColumns: ['queue'], labelColumn: 'text', maxNewTokens: 12 };

describe.skipIf(component === null)(`the teacher in four bits ${needsLlamaCpp}`, () => {
  it('classifies every held-out row and is measured', async () => {
    const folder = experiment('classes');
    const { result, events } = await run(folder, classification);
    expect(events.filter((event) => event.type === 'log' && event.level === 'warning')).toEqual([]);
    const evaluation = readEvaluation(folder, 'teacher-q4_0')!;
    expect(evaluation).toMatchObject({ metric: 'accuracy', rows: 12 });
    expect(evaluation.predictions).toHaveLength(12);
    expect(result).toMatchObject({ compared: true, value: evaluation.value });
    const measured = JSON.parse(readFileSync(join(folder, 'measurements', 'teacher-q4_0.json'), 'utf8')) as object;
    for (const figure of Object.values(measured)) expect(figure).toBeGreaterThan(0);
    const comparison = JSON.parse(readFileSync(join(folder, 'comparison.json'), 'utf8')) as {
      rows: { name: string; fileBytes: number }[];
    };
    expect(comparison.rows.find(({ name }) => name === 'teacher-q4_0')!.fileBytes).toBeGreaterThan(0);

    // Reading the prompt once gives the scores of reading it again for every label.
    const llama = await startLlamaCpp(component!, join(folder, 'exports', 'teacher-q4_0-q6_k.gguf'), { kvType: 'f32' });
    try {
      const prompt = Int32Array.of(5, 300, 17, 900, 44);
      const labels = {
        classes: ['a', 'b', 'c'],
        words: [],
        singleToken: false,
        ids: [[7], [7, 8, 9], [20, 21]].map((ids) => Int32Array.from(ids)),
      };
      const logSoftmax = (row: Float32Array, id: number): number => {
        const top = Math.max(...row);
        return row[id]! - top - Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
      };
      const again: number[] = [];
      for (const answer of labels.ids) {
        const rows = await llama.logits(Int32Array.from([...prompt, ...answer.subarray(0, -1)]), prompt.length - 1);
        again.push(rows.reduce((sum, row, at) => sum + logSoftmax(row, answer[at]!), 0));
      }
      const scores = await scoreLabelsInLlamaCpp(llama, prompt, labels);
      for (const [index, { logProbability }] of scores.entries()) expect(logProbability).toBeCloseTo(again[index]!, 3);
    } finally {
      await llama.close();
    }
  });

  it('writes an answer to every held-out row, with ROUGE and the cross-entropy of the references', async () => {
    const folder = experiment('texts', 'classes');
    const { result, events } = await run(folder, generation);
    expect(events.filter((event) => event.type === 'log' && event.level === 'warning')).toEqual([]);
    const evaluation = readEvaluation(folder, 'teacher-q4_0')!;
    expect(evaluation).toMatchObject({ metric: 'rougeL', rows: 12 });
    expect(evaluation.answers).toHaveLength(12);
    expect(evaluation.answers.some((text) => text !== '')).toBe(true);
    // A random model knows next to nothing about the next of 1536 tokens.
    expect(evaluation.crossEntropy).toBeGreaterThan(Math.log(1536) - 1);
    expect(result).toMatchObject({ compared: true, value: evaluation.value });
  });

  it('stops between two rows and leaves no evaluation', async () => {
    const folder = experiment('stopped', 'classes');
    await expect(run(folder, classification, 3)).rejects.toBeInstanceOf(JobStopped);
    expect(readEvaluation(folder, 'teacher-q4_0')).toBeNull();
  });
});

describe('without llama.cpp', () => {
  it('is left out, says so, and fails nothing', async () => {
    vi.stubEnv('TRITSMITH_COMPONENTS', join(root, 'nothing'));
    const { result, events } = await run(experiment('without'), classification);
    expect(result).toMatchObject({
      compared: false,
      problem: { id: 'four-bit.no-llama-cpp', message: expect.stringContaining('not installed') as string },
    });
    expect(events).toHaveLength(1);
  });
});
