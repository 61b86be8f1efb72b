/**
 * `npm run bench -- estimate [--recipe demo|small|all] [--page] [--json]`: what is estimated of a recipe before it runs beside what its jobs then take,
 * each in a process of its own: seconds (guessed, and after a rehearsal), peak resident memory, and what is on the disk afterwards.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { MeasuredSpeed, StageEstimate } from '../main/contract/estimates.ts';
import { sumOf } from '../main/contract/quantities.ts';
import { type JobEvent, jobSpec, type JobKind, type JobSpec } from '../main/contract/jobs.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import { checkpointFolder } from '../main/experiment/folder.ts';
import { makeTinyBase } from '../main/pipeline/fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../main/pipeline/inspect/estimate.ts';
import { runJob } from '../main/pipeline/run-job.ts';
import { parseRecipe, withAbsolutePaths } from '../main/workbench/experiments/recipe-inputs.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { table } from './table.ts';

const demo = fileURLToPath(new URL('../resources/demo', import.meta.url));

function demoRecipe(): Recipe {
  return withAbsolutePaths(parseRecipe(JSON.parse(readFileSync(join(demo, 'recipe.json'), 'utf8'))), demo);
}

/** The demo's task on a model of a tenth of its size with random weights, a tenth of the steps. */
async function smallRecipe(folder: string): Promise<Recipe> {
  const recipe = demoRecipe();
  const teacher = join(folder, 'base');
  await makeTinyBase(teacher, {
    hidden_size: 128,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  });
  const { finetune, pretrain, distil, task } = recipe;
  return {
    ...recipe,
    name: 'small',
    teacher,
    task: { ...task, limit: 2000 },
    finetune: { ...finetune!, steps: 60 },
    pretrain: { ...pretrain!, tokens: 8192 },
    distil: { ...distil, steps: 30 },
  };
}

const recipes: Record<string, (folder: string) => Recipe | Promise<Recipe>> = { small: smallRecipe, demo: demoRecipe };

interface JobRun {
  seconds: number;
  peakBytes: number;
  /** Of the optimiser steps after the first. */
  measured: MeasuredSpeed | null;
}

interface Compared {
  recipe: string;
  kind: JobKind;
  seconds: number;
  guessed: StageEstimate['seconds'];
  /** With the speed of a rehearsal. */
  rehearsed: StageEstimate['seconds'];
  peakBytes: number;
  /** 0 where nothing is trained. */
  estimatedBytes: number;
  diskBytes: number;
  estimatedDiskBytes: number;
}

function bytesIn(path: string): number {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return 0;
  return facts.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0) : facts.size;
}

/** Runs a job in a process of its own; its seconds are the whole life of that process. */
function runAlone(spec: JobSpec): JobRun {
  const started = performance.now();
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url)], {
    input: JSON.stringify(spec),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (child.status !== 0) throw new Error(`the job ${spec.kind} ended with ${child.signal ?? child.status}`);
  const said = JSON.parse(child.stdout) as Omit<JobRun, 'seconds'>;
  return { ...said, seconds: (performance.now() - started) / 1000 };
}

async function compare(name: string): Promise<Compared[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-bench-estimate-'));
  try {
    const recipe = await recipes[name]!(folder);
    const rehearsal: Recipe = {
      ...recipe,
      finetune: { ...recipe.finetune!, steps: 20 },
      evaluation: { rowsDuringTraining: 0, everySteps: 0 },
    };
    process.stderr.write(`${name}: rehearsal ...\n`);
    const { measured } = runAlone({ kind: 'finetune', recipe: rehearsal, folder: join(folder, 'rehearsal') });
    const guess = await forecastRecipe(recipe);
    const rehearsed = await forecastRecipe(recipe, guess.size, measured);
    const experiment = join(folder, 'experiment');
    let onDisk = 0;
    return guess.stages.map((stage, index): Compared => {
      process.stderr.write(`${name}: ${stage.kind} ...\n`);
      const { seconds, peakBytes } = runAlone({ kind: stage.kind, recipe, folder: experiment });
      const diskBytes = bytesIn(experiment) - onDisk;
      // As the workbench does once a stage is done.
      rmSync(checkpointFolder(experiment, stage.kind), { recursive: true, force: true });
      onDisk = bytesIn(experiment);
      return {
        recipe: name,
        kind: stage.kind,
        seconds,
        guessed: stage.seconds,
        rehearsed: rehearsed.stages[index]!.seconds,
        peakBytes,
        estimatedBytes: sumOf(stage.memory),
        diskBytes,
        estimatedDiskBytes: sumOf(stage.disk),
      };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const gigabytes = (bytes: number): string => (bytes === 0 ? '' : (bytes / 1e9).toFixed(2));
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const range = ({ low, high }: { low: number; high: number }): string => `${low.toFixed(0)} to ${high.toFixed(0)}`;

function cellsOf(found: readonly Compared[]): string[][] {
  const whole = (name: string): string[] => {
    const jobs = found.filter(({ recipe }) => recipe === name);
    const sum = (value: (job: Compared) => number): number => jobs.reduce((total, job) => total + value(job), 0);
    const sums = (key: 'guessed' | 'rehearsed') => ({
      low: sum((job) => job[key].low),
      high: sum((job) => job[key].high),
    });
    return [
      name,
      'all',
      sum(({ seconds }) => seconds).toFixed(1),
      range(sums('guessed')),
      range(sums('rehearsed')),
      gigabytes(Math.max(...jobs.map(({ peakBytes }) => peakBytes))),
      gigabytes(Math.max(...jobs.map(({ estimatedBytes }) => estimatedBytes))),
      megabytes(sum(({ diskBytes }) => diskBytes)),
      megabytes(sum(({ estimatedDiskBytes }) => estimatedDiskBytes)),
    ];
  };
  return [
    ['recipe', 'job', 's', 'guessed s', 'rehearsed s', 'peak RSS GB', 'estimate GB', 'disk MB', 'estimate MB'],
    ...found.map((job) => [
      job.recipe,
      job.kind,
      job.seconds.toFixed(1),
      range(job.guessed),
      range(job.rehearsed),
      gigabytes(job.peakBytes),
      gigabytes(job.estimatedBytes),
      megabytes(job.diskBytes),
      megabytes(job.estimatedDiskBytes),
    ]),
    ...[...new Set(found.map(({ recipe }) => recipe))].map(whole),
  ];
}

const options = {
  recipe: { type: 'string', default: 'all' },
  page: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const names = values.recipe === 'all' ? Object.keys(recipes) : [values.recipe];
  const found: Compared[] = [];
  for (const name of names) {
    if (recipes[name] === undefined)
      throw new Error(`unknown recipe ${name}; known are ${Object.keys(recipes).join(', ')}, all`);
    found.push(...(await compare(name)));
  }
  if (values.json) {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return;
  }
  const cells = cellsOf(found);
  if (values.page)
    writeSection(
      'estimate',
      [
        '## Estimates: what the machine check says beside what a run takes',
        `${circumstances()}. Each job in a process of its own; seconds are the life of that process. The disk is what the job took, its checkpoints included, which go when it is done; the estimate has room for one more checkpoint while it is written, where a stage has two.`,
        markdownTable(cells),
      ].join('\n\n'),
    );
  process.stdout.write(`${table(cells)}\n`);
}

/** The child: one job, its speed and its peak. */
async function runHere(spec: JobSpec): Promise<Omit<JobRun, 'seconds'>> {
  const steps: { time: number; tokensPerSecond: number }[] = [];
  const note = (event: JobEvent): void => {
    const tokensPerSecond = event.type === 'metrics' ? event.values['tokens-per-second'] : undefined;
    if (tokensPerSecond !== undefined) steps.push({ time: performance.now(), tokensPerSecond });
  };
  await runJob(spec, { emit: note, stopRequested: () => null });
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  if (steps.length < 2) return { peakBytes, measured: null };
  const later = steps.slice(1);
  return {
    peakBytes,
    measured: {
      steps: steps.length,
      secondsPerStep: (steps.at(-1)!.time - steps[0]!.time) / 1000 / later.length,
      tokensPerSecond: later.reduce((sum, { tokensPerSecond }) => sum + tokensPerSecond, 0) / later.length,
    },
  };
}

if (import.meta.main) {
  const found = await runHere(jobSpec.parse(JSON.parse(readFileSync(0, 'utf8'))));
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
