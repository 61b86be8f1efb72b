/**
 * `npm run bench -- fidelity --task sst2|qnli|mnli|scitldr|tinystories [--teacher <folder>] [--seeds 1,2,3] [--ablation-seeds 1] [--epochs N] [--teacher-epochs N]
 * [--rows N] [--split test|validation] [--only a,b] [--budget minutes] [--workspace <folder>] [--no-page] [--json]`: teacher, BitNet-SFT, BitDistill and ablations on real data,
 * every student with the same number of steps. Finished runs are kept as experiments and not repeated: a run with a budget goes on where it stopped, and one with
 * `--budget 0` reports what there is.
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Recipe, recipeSchema } from '../main/contract/recipe.ts';
import { sharedData } from '../main/testing/shared-data.ts';
import type { ModelConfiguration } from '../main/models/configuration.ts';
import { modelConfiguration } from '../main/models/open-model.ts';
import { countParameters } from '../main/models/parameters.ts';
import { pretrainSteps } from '../main/pipeline/models-of-recipe.ts';
import { learningRateFor } from '../main/pipeline/inspect/presets.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { defaultCorpus } from './fidelity/language.ts';
import { runLanguage } from './fidelity/language-report.ts';
import { decisive, defaultBase, gapClosed, lineOf, meanValue, resultRows, writeReport } from './fidelity/report.ts';
import { type FinishedRun, finishedRun, isFinished, taskRows } from './fidelity/runs.ts';
import { type FidelityTask, type TaskName, tasks } from './fidelity/tasks.ts';
import { ablations, choices, type Variant } from './fidelity/variants.ts';
import { cacheFolder } from './cache.ts';
import { table } from './table.ts';

const options = {
  task: { type: 'string' },
  teacher: { type: 'string' },
  seeds: { type: 'string', default: '1,2,3' },
  'ablation-seeds': { type: 'string', default: '1' },
  epochs: { type: 'string', default: '1' },
  'teacher-epochs': { type: 'string', default: '2' },
  rows: { type: 'string' },
  split: { type: 'string', default: 'test' },
  only: { type: 'string' },
  budget: { type: 'string' },
  corpus: { type: 'string' },
  tokens: { type: 'string', default: '1000000' },
  'teacher-tokens': { type: 'string', default: '600000' },
  workspace: { type: 'string' },
  threads: { type: 'string', default: '0' },
  'no-page': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const numbers = (text: string): number[] => text.split(',').filter(Boolean).map(Number);

interface Plan {
  readonly task: FidelityTask;
  readonly taskName: string;
  readonly base: string;
  readonly configuration: ModelConfiguration;
  readonly epochs: number;
  readonly teacherEpochs: number;
  readonly rows: number | undefined;
  /** Measure on rows held out of the training rows, to choose settings; the dev set and the tail stay unseen. */
  readonly validation: boolean;
  readonly threads: number;
}

/** BitDistill (docs/method.md, 5) from the fine-tuned teacher; teacher and BitNet-SFT are in the same experiment. */
async function mainRecipe(plan: Plan, seed: number): Promise<Recipe> {
  const { task, taskName, base, configuration, epochs, teacherEpochs, rows, validation, threads } = plan;
  const optimiser = { learningRate: learningRateFor(countParameters(configuration).total) };
  const recipe = recipeSchema.parse({
    name: `${taskName}${validation ? ' validation' : ''}, ${basename(base)}, seed ${seed}: BitDistill`,
    seed,
    teacher: base,
    task: {
      name: taskName,
      kind: task.kind,
      train: sharedData('tasks', task.folder, task.train),
      ...(task.dev === undefined || validation ? {} : { dev: sharedData('tasks', task.folder, task.dev) }),
      textColumns: task.textColumns,
      labelColumn: task.labelColumn,
      maxLength: Math.min(task.maxLength, configuration.maxPositions),
      maxNewTokens: task.maxNewTokens,
      ...(rows === undefined ? {} : { limit: rows }),
    },
    finetune: { epochs: teacherEpochs, optimiser },
    refine: { subln: 'paper', sublnInit: 'calibrated' },
    pretrain: null,
    distil: {
      optimiser,
      gamma: 'balanced',
      studentInit: 'teacher',
      ...(task.kind === 'generation' ? { lambda: 1 } : {}),
    },
    baseline: true,
    threads,
    exports: [{ type: 'i2_s' }],
  });
  const { trainRows } = await taskRows(recipe, undefined);
  const perEpoch = Math.ceil(trainRows / recipe.distil.optimiser.batchSize);
  return { ...recipe, distil: { ...recipe.distil, steps: Math.ceil(epochs * perEpoch) } };
}

const teacherSteps = (plan: Plan, main: Recipe): number =>
  Math.round((plan.teacherEpochs * main.distil.steps!) / plan.epochs);

/**
 * A variant's recipe: it learns from the main run's teacher and takes as many steps in all, unless the variant says otherwise. Null where its
 * Stage 2 alone would take more.
 */
function variantRecipe(main: Recipe, run: FinishedRun, variant: Variant, teacherSteps: number): Recipe | null {
  const { name } = variant;
  const changed = variant.change({
    ...main,
    name: main.name.replace(/BitDistill$/, name),
    teacher: join(run.folder, 'teacher'),
    finetune: null,
    baseline: false,
  });
  const steps = main.distil.steps! + (variant.teacherSteps ? teacherSteps : 0);
  const stage2 = changed.pretrain ? pretrainSteps(changed.pretrain) : 0;
  if (stage2 >= steps) return null;
  return recipeSchema.parse({
    ...changed,
    ...(changed.distil.studentInit === 'base' ? { studentBase: main.teacher } : {}),
    distil: { ...changed.distil, steps: steps - stage2 },
  });
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const say = (text: string): void => void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
  const base = resolve(values.teacher ?? sharedData('models', defaultBase));
  const workspaceFolder = values.workspace ?? join(cacheFolder(), 'fidelity');
  if (values.task === 'tinystories')
    return runLanguage({
      base,
      corpus: resolve(values.corpus ?? defaultCorpus),
      workFolder: join(workspaceFolder, 'language', basename(base)),
      seeds: numbers(values.seeds),
      tokens: Number(values.tokens),
      teacherTokens: Number(values['teacher-tokens']),
      threads: Number(values.threads),
      page: !values['no-page'],
      json: values.json,
      say,
    });
  const taskName = values.task as TaskName | undefined;
  if (taskName === undefined || !(taskName in tasks))
    throw new Error(`--task is one of ${[...Object.keys(tasks), 'tinystories'].join(', ')}.`);
  const task = tasks[taskName];
  const train = sharedData('tasks', task.folder, task.train);
  if (!existsSync(train)) throw new Error(`The rows of ${taskName} are not there: ${train}.`);
  const plan: Plan = {
    task,
    taskName,
    base,
    configuration: await modelConfiguration(base),
    epochs: Number(values.epochs),
    teacherEpochs: Number(values['teacher-epochs']),
    rows: values.rows === undefined ? undefined : Number(values.rows),
    validation: values.split === 'validation',
    threads: Number(values.threads),
  };
  const tail = task.tail === undefined || plan.validation ? undefined : sharedData('tasks', task.folder, task.tail);
  const deadline = values.budget === undefined ? Infinity : performance.now() + Number(values.budget) * 60_000;
  const variants = plan.validation ? choices : ablations(plan.configuration.layers);
  const chosen =
    values.only === undefined ? variants : variants.filter(({ name }) => values.only!.split(',').includes(name));

  const workspace = await openWorkspace({
    folder: workspaceFolder,
    mode: 'write',
    purpose: 'bench fidelity',
  });
  try {
    const mains = new Map<number, { recipe: Recipe; run: FinishedRun }>();
    const variantRuns = new Map<string, FinishedRun[]>();
    let skipped = 0;
    const inTime = (recipe: Recipe): boolean => {
      if (performance.now() < deadline || isFinished(workspace, recipe)) return true;
      say(`left out, the budget is spent: ${recipe.name}`);
      skipped += 1;
      return false;
    };
    for (const seed of numbers(values.seeds)) {
      const recipe = await mainRecipe(plan, seed);
      if (mains.size > 0 && !inTime(recipe)) continue;
      say(recipe.name);
      mains.set(seed, { recipe, run: await finishedRun(workspace, recipe, tail) });
    }
    for (const seed of numbers(values['ablation-seeds'])) {
      const main = mains.get(seed);
      if (!main) continue;
      for (const variant of chosen) {
        const { name } = variant;
        const recipe = variantRecipe(main.recipe, main.run, variant, teacherSteps(plan, main.recipe));
        if (recipe === null) {
          say(`left out, a run has too few steps for its Stage 2: ${name}`);
          continue;
        }
        if (!inTime(recipe)) continue;
        say(recipe.name);
        variantRuns.set(name, [...(variantRuns.get(name) ?? []), await finishedRun(workspace, recipe, tail)]);
      }
    }
    const mainRuns = [...mains.values()].map((main) => main.run);
    const all = [...mainRuns, ...[...variantRuns.values()].flat()];
    const [first] = mains.values();
    const report = {
      taskName,
      validation: plan.validation,
      task,
      baseName: basename(plan.base),
      baseParameters: countParameters(plan.configuration).total,
      seeds: [...mains.keys()],
      teacherSteps: teacherSteps(plan, first!.recipe),
      studentSteps: first!.recipe.distil.steps!,
      teacher: lineOf('teacher', '', 'teacher', mainRuns),
      bitnetSft: lineOf('BitNet-SFT', '', 'bitnet-sft', mainRuns),
      bitdistill: lineOf('BitDistill', '', 'bitdistill', mainRuns),
      others: chosen.flatMap(({ name, text }) => {
        const runs = variantRuns.get(name);
        return runs ? [lineOf(name, text, 'bitdistill', runs)] : [];
      }),
      recipe: JSON.stringify(
        {
          ...first!.recipe,
          teacher: basename(plan.base),
          task: { ...first!.recipe.task, train: task.train, ...(plan.validation ? {} : { dev: task.dev }) },
        },
        null,
        2,
      ),
      minutes: all.reduce((sum, { seconds }) => sum + seconds, 0) / 60,
    };
    if (!values['no-page']) writeReport(report);
    if (values.json) {
      const set = decisive(report);
      const [teacher, bitnetSft, bitdistill] = [report.teacher, report.bitnetSft, report.bitdistill].map((line) =>
        meanValue(line[set]),
      ) as [number, number, number];
      process.stdout.write(
        `${JSON.stringify({ task: taskName, seeds: report.seeds, teacher, bitnetSft, bitdistill, gapClosed: gapClosed(teacher, bitnetSft, bitdistill) }, null, 2)}\n`,
      );
    } else process.stdout.write(`${table(resultRows(report))}\n`);
    if (skipped > 0) say(`${skipped} runs were left out; the same command goes on from here.`);
  } finally {
    workspace.close();
  }
}
