/**
 * `npm run bench -- quantisers --teacher <folder or GGUF file> [--task sst2|qnli|mnli] [--rows N] [--dev <file>] [--seed 1] [--preset quick] [--change field=value ...] [--reconstruct]
 * [--only a,b] [--budget minutes] [--workspace <folder>] [--threads N] [--no-page] [--json]`: the same fine-tuned teacher and the same rows for every
 * way to make a student ternary, each with as much time as plain BitNet b1.58 has: where a step is slower it takes fewer of them, and the time of GPTQ's
 * and AWQ's calibration is taken off. Finished runs are kept as experiments and not repeated: a run that was ended, or that had a budget, goes on where it
 * stopped.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeFileAtomically } from '../main/basics/atomic-file.ts';
import { median } from '../main/basics/numbers.ts';
import type { PresetInputs, PresetName } from '../main/contract/queries.ts';
import { bytesInWords } from '../main/contract/quantities.ts';
import { type ExportType, type Recipe, runsInRuntime } from '../main/contract/recipe.ts';
import type { JobEvent, JobSpec } from '../main/contract/jobs.ts';
import { forkPort } from '../main/jobs/fork-port.ts';
import { runInWorker } from '../main/jobs/host.ts';
import { modelConfiguration } from '../main/models/open-model.ts';
import { exportCapabilities, isTeacherType } from '../main/pipeline/export/capabilities.ts';
import { makeRecipe } from '../main/pipeline/inspect/presets.ts';
import { stageSteps, studentConfiguration } from '../main/pipeline/models-of-recipe.ts';
import { parseRecipe } from '../main/workbench/experiments/recipe-inputs.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { cacheFolder } from './cache.ts';
import { isFinished, taskRows } from './fidelity/runs.ts';
import type { TaskName } from './fidelity/tasks.ts';
import { variants, type QuantiserVariant } from './quantisers/variants.ts';
import { realRun, type RealRun } from './real/runs.ts';
import { changesOf, taskInputs } from './real/task-inputs.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { table } from './table.ts';

const options = {
  teacher: { type: 'string' },
  task: { type: 'string', default: 'sst2' },
  rows: { type: 'string', default: '2000' },
  dev: { type: 'string' },
  seed: { type: 'string', default: '1' },
  preset: { type: 'string', default: 'quick' },
  change: { type: 'string', multiple: true },
  reconstruct: { type: 'boolean', default: false },
  only: { type: 'string' },
  budget: { type: 'string' },
  workspace: { type: 'string' },
  threads: { type: 'string', default: '0' },
  'no-page': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

/** Types of a student's file, in the order in which the one that is written and measured is chosen: the smallest, then those that llama.cpp runs. */
const studentTypes: readonly ExportType[] = ['t3_4', 'q2_0', 'tq2_0', 'i2_s'];
/** What a student's time is spent on. */
const trainingStages = ['refine', 'calibrate', 'reconstruct', 'pretrain', 'distil'];
const timedSteps = { least: 6, most: 24 };
const untimedSteps = 2;
/** Of one timing of a variant's steps. */
const timedSeconds = 15;
const timingRounds = 2;

/** Runs jobs one after the other in a folder that is thrown away. @returns when each told of a step, and how long the last one took, seconds */
async function tried(
  workspaceFolder: string,
  recipe: Recipe,
  kinds: readonly JobSpec['kind'][],
): Promise<{ times: number[]; seconds: number }> {
  const folder = mkdtempSync(join(workspaceFolder, 'timing-'));
  const times: number[] = [];
  let began = 0;
  try {
    for (const kind of kinds) {
      began = performance.now();
      const onEvent = (event: JobEvent): void => {
        if (event.type === 'metrics') times.push(performance.now() / 1000);
      };
      await runInWorker(forkPort(), { kind, recipe, folder }, { onEvent });
    }
    return { times, seconds: (performance.now() - began) / 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Seconds of a step of BitNet-SFT with this quantisation: what a quantiser changes of a step, it changes there too. */
async function secondsPerStep(workspaceFolder: string, recipe: Recipe, steps: number): Promise<number> {
  const short: Recipe = {
    ...recipe,
    distil: { ...recipe.distil, steps: untimedSteps + steps },
    keepBest: undefined,
    evaluation: { rowsDuringTraining: 0, everySteps: 0 },
  };
  const { times } = await tried(workspaceFolder, short, ['baseline']);
  return median(times.slice(untimedSteps + 1).map((time, at) => time - times[untimedSteps + at]!));
}

/** Seconds that were measured, by what they are of; kept in the workspace. */
class Measured {
  readonly #path: string;
  readonly #seconds: Record<string, number> = {};

  constructor(workspaceFolder: string) {
    this.#path = join(workspaceFolder, 'bench-paces.json');
    try {
      this.#seconds = JSON.parse(readFileSync(this.#path, 'utf8')) as Record<string, number>;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  get(name: string): number | undefined {
    return this.#seconds[name];
  }

  async set(name: string, seconds: number): Promise<number> {
    this.#seconds[name] = seconds;
    await writeFileAtomically(this.#path, `${JSON.stringify(this.#seconds)}\n`);
    return seconds;
  }
}

/**
 * Seconds per step of every variant, measured in turns so that other work on the machine hits all alike.
 * @param usualSeconds about how long a step takes
 */
async function paces(
  workspaceFolder: string,
  measured: Measured,
  recipes: ReadonlyMap<string, Recipe>,
  usualSeconds: number,
  say: (text: string) => void,
): Promise<Map<string, number>> {
  const wanted = [...recipes].filter(([, { name }]) => measured.get(name) === undefined);
  const found = new Map(wanted.map(([name]) => [name, [] as number[]]));
  const steps = Math.max(timedSteps.least, Math.min(timedSteps.most, Math.round(timedSeconds / usualSeconds)));
  for (let round = 0; round < timingRounds && wanted.length > 0; round += 1)
    for (const [name, recipe] of wanted) {
      const seconds = await secondsPerStep(workspaceFolder, recipe, steps);
      say(`${name}: ${seconds.toFixed(3)} s a step`);
      found.get(name)!.push(seconds);
    }
  for (const [name, recipe] of wanted) await measured.set(recipe.name, Math.min(...found.get(name)!));
  return new Map([...recipes].map(([name, recipe]) => [name, measured.get(recipe.name)!]));
}

/** Seconds of a calibration. */
async function calibrationSeconds(workspaceFolder: string, measured: Measured, recipe: Recipe): Promise<number> {
  const name = `${recipe.name}, calibration`;
  return (
    measured.get(name) ??
    (await measured.set(name, (await tried(workspaceFolder, recipe, ['refine', 'calibrate'])).seconds))
  );
}

const secondsOf = ({ stages }: RealRun, ...kinds: readonly string[]): number =>
  stages.reduce((sum, { kind, seconds }) => sum + (kinds.includes(kind) ? seconds : 0), 0);

/** The same teacher, ready, and another quantisation. `types`: those of `studentTypes` that hold such a student. */
async function variantRecipe(
  main: Recipe,
  teacher: string,
  variant: QuantiserVariant,
): Promise<{ recipe: Recipe; types: readonly ExportType[] }> {
  const recipe = parseRecipe({
    ...main,
    name: `${main.name}: ${variant.name}`,
    teacher,
    finetune: null,
    baseline: false,
    ...variant.change,
    ...(variant.hard && main.reconstruct && { reconstruct: { ...main.reconstruct, soften: 0 } }),
    exports: [],
  });
  const student = await studentConfiguration(recipe);
  const possible = exportCapabilities(student, await modelConfiguration(teacher)).filter(
    ({ type, obstacle }) => obstacle === null && runsInRuntime({ type }) && !isTeacherType(type),
  );
  const types = studentTypes.filter((type) => possible.some((each) => each.type === type));
  return { recipe: parseRecipe({ ...recipe, exports: types.slice(0, 1).map((type) => ({ type })) }), types };
}

interface Line {
  readonly variant: QuantiserVariant;
  readonly types: readonly ExportType[];
  readonly steps: number;
  readonly run: RealRun;
}

function cellsOf(lines: readonly Line[], main: RealRun): string[][] {
  const scores = (run: RealRun, model: string): string[] => {
    const row = run.rows.find(({ name }) => name === model);
    if (!row) return ['', ''];
    const [low, high] = row.ci95;
    return [
      `${(100 * row.accuracy).toFixed(1)} ± ${(50 * (high - low)).toFixed(1)}`,
      row.agreement === null ? '' : (100 * row.agreement).toFixed(1),
    ];
  };
  return [
    ['', 'accuracy', 'agrees with teacher', 'steps', 'minutes', 'body', 'whole file', 'prefill', 'decode', 'runs in'],
    ['teacher', ...scores(main, 'teacher').slice(0, 1), '', '', '', '', '', '', '', ''],
    ['BitNet-SFT', ...scores(main, 'bitnet-sft'), '', '', '', '', '', '', ''],
    ...lines.map(({ variant, types, steps, run }) => {
      const row = run.rows.find(({ name }) => name === 'bitdistill');
      // The files of the teacher are there too.
      const written = run.files.find(({ type }) => type === types[0]);
      const started = written !== undefined && 'prefill' in (run.llamaCpp[written.path] ?? {});
      const possible = variant.own ? [] : types.filter((type) => type === 'q2_0' || type === 'tq2_0');
      const untried = possible.filter((type) => !started || type !== written.type);
      const inLlamaCpp = [
        ...possible.filter((type) => !untried.includes(type)),
        ...(untried.length > 0 ? [`not started: ${untried.join(', ')}`] : []),
      ];
      const bitnetCpp = types.includes('i2_s') && !variant.own;
      return [
        variant.title,
        ...scores(run, 'bitdistill'),
        String(steps),
        (secondsOf(run, ...trainingStages) / 60).toFixed(1),
        row ? bytesInWords(row.bodyBytes) : '',
        row ? bytesInWords(row.fileBytes) : '',
        row?.prefillTokensPerSecond?.toFixed(0) ?? '',
        row?.decodeTokensPerSecond?.toFixed(0) ?? '',
        [
          'Tritsmith',
          ...(inLlamaCpp.length > 0 ? [`llama.cpp (${inLlamaCpp.join('; ')})`] : []),
          ...(bitnetCpp ? ['bitnet.cpp (i2_s)'] : []),
        ].join(', '),
      ];
    }),
  ];
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const say = (text: string): void => void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
  if (values.teacher === undefined) throw new Error('--teacher names a folder or a GGUF file.');
  const teacher = resolve(values.teacher);
  const only = values.only?.split(',');
  const unknown = only?.find((name) => !variants.some((variant) => variant.name === name));
  if (unknown !== undefined)
    throw new Error(`--only takes ${variants.map(({ name }) => name).join(', ')}; not ${unknown}.`);
  const deadline = values.budget === undefined ? Infinity : performance.now() + Number(values.budget) * 60_000;
  const changes = values.change ?? [];
  const settings = [`preset ${values.preset}`, ...(values.reconstruct ? ['reconstruct'] : []), ...changes].join(', ');
  const title = basename(teacher).replace(/\.gguf$/, '');
  const folder = values.workspace ?? join(cacheFolder(), 'quantisers');
  const workspace = await openWorkspace({
    folder,
    mode: 'write',
    purpose: 'bench quantisers',
  });
  const running = { llamaCppOnce: true, say };
  const measured = new Measured(folder);
  try {
    const inputs: PresetInputs = {
      preset: values.preset as PresetName,
      name: `${values.task}, ${title}, ${values.rows} rows, ${settings}, seed ${values.seed}`,
      teacher,
      seed: Number(values.seed),
      task: {
        ...taskInputs(values.task as TaskName),
        ...(values.dev === undefined ? {} : { dev: resolve(values.dev) }),
      },
      exports: ['i2_s'],
      reconstruct: values.reconstruct,
      changes: { 'task.limit': Number(values.rows), threads: Number(values.threads), ...changesOf(changes) },
    };
    const recipe = parseRecipe(await makeRecipe(inputs));
    // Teacher, BitNet-SFT and, as a student of its own time, plain BitDistill.
    say(recipe.name);
    const main = await realRun(workspace, { ...running, recipe });
    const tuned = join(main.folder, 'teacher');
    const chosen = variants.filter(({ name }) => only === undefined || name === 'plain' || only.includes(name));
    const recipes = new Map<string, Recipe>();
    const types = new Map<string, readonly ExportType[]>();
    for (const variant of chosen) {
      const found = await variantRecipe(recipe, tuned, variant);
      recipes.set(variant.name, found.recipe);
      types.set(variant.name, found.types);
    }
    const { trainRows, dev } = await taskRows(recipe, undefined);
    const usual = stageSteps(recipe.distil, Math.ceil(trainRows / recipe.distil.optimiser.batchSize));
    const pace = await paces(folder, measured, recipes, secondsOf(main, 'distil') / usual, say);
    const lines: Line[] = [];
    const left: string[] = [];
    let plain: RealRun | null = null;
    for (const variant of chosen) {
      const own = recipes.get(variant.name)!;
      const perStep = plain ? (secondsOf(plain, 'distil') / usual) * (pace.get(variant.name)! / pace.get('plain')!) : 0;
      const calibration = own.calibrate && plain ? await calibrationSeconds(folder, measured, own) : 0;
      const steps =
        plain === null ? usual : Math.max(1, Math.floor((secondsOf(plain, 'distil') - calibration) / perStep));
      const timed = parseRecipe({ ...own, distil: { ...own.distil, steps } });
      if (performance.now() > deadline && !isFinished(workspace, timed)) {
        left.push(variant.name);
        continue;
      }
      say(`${timed.name}, ${steps} steps`);
      const run = await realRun(workspace, { ...running, recipe: timed });
      if (variant.name === 'plain') plain = run;
      lines.push({ variant, types: types.get(variant.name)!, steps, run });
    }
    const cells = cellsOf(lines, main);
    const evaluated = values.dev === undefined ? '' : ` --dev ${basename(values.dev)}`;
    const section = `quantisers --teacher ${basename(teacher)} --task ${values.task} --rows ${values.rows}${evaluated} (${settings})`;
    if (!values['no-page'])
      writeSection(
        section,
        [
          `## Ways to make a student ternary: ${title} on ${values.task}`,
          `${circumstances()}. ${trainRows} training rows, ${settings}, seed ${values.seed}; ${dev.length} rows evaluated. All students learn from one fine-tuned teacher and have as long as the first one (*minutes*: their stages without evaluation and export). Body: the ternary matrices. Prefill and decode: tokens per second of our runtime on one thread, of the first file that can be written of ${studentTypes.join(', ')}. *Runs in*: llama.cpp was started with that file where the type is one of its own; bitnet.cpp reads the I2_S file that can be written, and was not started.`,
          markdownTable(cells),
          'What each one is: [method.md](method.md), 2 and 3.2.',
        ].join('\n\n'),
      );
    process.stdout.write(values.json ? `${JSON.stringify(lines, null, 2)}\n` : `${table(cells)}\n`);
    if (left.length > 0) say(`Left out, the budget is spent: ${left.join(', ')}. The same command goes on from here.`);
  } finally {
    workspace.close();
  }
}
