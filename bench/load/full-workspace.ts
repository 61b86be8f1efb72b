/** Fills a workspace with as many experiments and metric points as a user has after years. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ExperimentRecord } from '../../main/contract/experiments.ts';
import type { JobKind } from '../../main/contract/jobs.ts';
import { studentModel, trainedModels } from '../../main/contract/model-names.ts';
import type { ModelEvaluation } from '../../main/contract/results.ts';
import {
  annotationsPath,
  comparisonPath,
  evaluationPath,
  exportedPath,
  exportListPath,
  recordPath,
} from '../../main/experiment/folder.ts';
import { sampleRecipe } from '../../main/jobs/fixtures/sample-recipe.ts';
import { describeMachine, programVersions } from '../../main/workbench/machine/machine.ts';
import { openWorkspace } from '../../main/workbench/workspace/workspace.ts';

const batchRows = 20_000;
const kinds: JobKind[] = ['finetune', 'refine', 'distil', 'baseline', 'evaluate', 'export', 'measure-student'];
const metrics = [
  'loss',
  'loss/ce',
  'loss/kd',
  'loss/relation',
  'gradient-norm',
  'learning-rate',
  'tokens-per-second',
  'flip-rate',
];

/** The experiment with half of all points, in eight curves. */
export const longestRun = 'load-1';

export interface Filling {
  readonly experiments: number;
  /** Half of them in one run, the others across all. */
  readonly points: number;
}

export async function fillWorkspace(
  folder: string,
  { experiments, points }: Filling,
  say: (line: string) => void,
): Promise<void> {
  const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'bench load' });
  try {
    const machine = describeMachine();
    const versions = programVersions();
    for (let number = 1; number <= experiments; number += 1) {
      const record = recordOf(number, machine, versions);
      workspace.experiments.add(record);
      writeFiles(workspace.experimentFolder(record.id), record);
      for (let line = 0; line < 50; line += 1)
        workspace.experiments.addLog(record.id, { stage: 'distil', time: line, level: 'info', text: `Line ${line}` });
    }
    say(`${experiments} experiments`);
    const each = Math.floor(points / 2 / (experiments - 1) / metrics.length);
    for (let number = 2; number <= experiments; number += 1) write(`load-${number}`, each);
    write(longestRun, Math.floor(points / 2 / metrics.length));
  } finally {
    workspace.close();
  }

  function write(id: string, steps: number): void {
    const perBatch = Math.floor(batchRows / metrics.length);
    for (let first = 1; first <= steps; first += perBatch) {
      const samples = [];
      for (let step = first; step < Math.min(steps + 1, first + perBatch); step += 1)
        for (const [index, name] of metrics.entries())
          samples.push({ name: `distil/${name}`, step, value: Math.sin(step / 1000 + index) + 2 });
      workspace.metrics.append(id, samples);
    }
    if (id === longestRun) workspace.experiments.addLog(id, { stage: 'distil', time: 0, level: 'info', text: 'Long.' });
  }
}

function recordOf(
  number: number,
  machine: ExperimentRecord['machine'],
  versions: ExperimentRecord['versions'],
): ExperimentRecord {
  const id = `load-${number}`;
  return {
    id,
    name: `load ${number}`,
    state: 'done',
    recipe: sampleRecipe(`load ${number}`, {
      teacher: `/models/teacher-${number % 7}`,
      train: '/data/train.tsv',
      seed: number,
    }),
    seed: number,
    created: 1.7e12 + number * 1000,
    started: 1.7e12,
    ended: 1.7e12 + 3.6e6,
    machine,
    versions,
    error: null,
    stages: kinds.map((kind, position) => ({
      position,
      kind,
      weight: position + 1,
      state: 'done',
      done: 100,
      total: 100,
      unit: 'steps',
      started: 1.7e12,
      ended: 1.7e12,
      seconds: 60,
      error: null,
      result: { steps: 100 },
    })),
    artifacts: ['teacher', 'student', 'baseline', 'export-student-i2_s'].map((name) => ({
      name,
      stage: 'distil',
      path: `${name}/model.safetensors`,
      bytes: 1e6,
      sha256: 'a'.repeat(64),
    })),
  };
}

function writeFiles(folder: string, record: ExperimentRecord): void {
  const write = (path: string, value: unknown): void => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify(value));
  };
  write(recordPath(folder), record);
  write(annotationsPath(folder), {
    tags: ['load', `n${record.seed % 10}`],
    notes: 'A note of a sentence or two. '.repeat(4),
    removed: false,
  });
  const exported = trainedModels.map((model) => ({
    model,
    path: exportedPath(`${model}.gguf`),
    type: 'i2_s',
    verified: true,
    bodyBytes: 1e6,
    fileBytes: 3e6,
  }));
  write(exportListPath(folder), exported);
  for (const model of trainedModels)
    write(evaluationPath(folder, model), {
      model,
      metric: 'accuracy',
      value: 0.9,
      ci95: [0.88, 0.92],
      rows: 6735,
      crossEntropy: 0.3,
      scores: { agreementWithTeacher: 0.95 },
      differences: [],
      predictions: Array.from({ length: 6735 }, (_, row) => (row * record.seed) % 2),
      answers: [],
    } satisfies ModelEvaluation);
  write(comparisonPath(folder), {
    rows: trainedModels.map((name) => ({
      name,
      accuracy: 0.9,
      ci95: [0.88, 0.92],
      bodyBytes: 1e6,
      fileBytes: 3e6,
      rssBytes: 5e6,
      prefillTokensPerSecond: 1e4,
      decodeTokensPerSecond: 5e3,
    })),
    export: { path: exportedPath(`${studentModel}.gguf`), type: 'i2_s', verified: true },
    exports: exported,
  });
}

/** Appends rows of a support queue to `path` until it holds `bytes`; memory holds one block. */
export function writeTaskFile(path: string, bytes: number): void {
  const words = readFileSync(new URL('../../resources/demo/task/train.tsv', import.meta.url), 'utf8')
    .split('\n')
    .slice(1, 1001);
  writeFileSync(path, 'text\tqueue\n');
  for (let written = 0, block = 0; written < bytes; block += 1) {
    const text = Array.from({ length: 40 }, (_, turn) =>
      words
        .filter((row) => row.includes('\t'))
        .map((row) => `${block}.${turn} ${row}`)
        .join('\n'),
    ).join('\n');
    const data = Buffer.from(`${text}\n`);
    writeFileSync(path, data, { flag: 'a' });
    written += data.length;
  }
}
