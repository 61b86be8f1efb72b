/** What a recipe takes before it is run: memory, disk and time, each with the formula it comes from. */
import { mkdtempSync, rmSync, statSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskReport, TeacherCard } from '../../contract/queries.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { RecipeEstimate } from '../../contract/views.ts';
import { askWorker, runInWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { StopSignal } from '../../jobs/stop-signal.ts';
import { describeMachine } from './machine.ts';
import { distillationBytes } from './memory-estimate.ts';

/** Useful float32 work of one core in training, before anything has been measured: from an old laptop to a server. */
const slowCore = 4e9;
const fastCore = 30e9;
/** Starting the processes, evaluating, exporting and measuring a small model: seconds that no formula of tokens has. */
const leastSeconds = 10;
const mostSeconds = 90;
const rehearsalSteps = 20;
/** A ternary step quantises its weights, a distilling one also runs the teacher forward. */
const ternaryFactor = 1.15;
const teacherForward = 1 / 3;

interface Facts {
  readonly card: TeacherCard;
  readonly report: TaskReport;
}

/** Tokens that each stage trains on, weighted by what a token costs relative to a full-precision training step. */
interface Work {
  readonly tokens: number;
  readonly weighted: number;
}

export async function estimate(port: SpawnPort, recipe: Recipe, workspaceFolder: string): Promise<RecipeEstimate> {
  const facts = await gather(port, recipe);
  const work = workOf(recipe, facts.report);
  const flops = 6 * facts.card.parameters * work.weighted;
  const machine = describeMachine();
  const low = leastSeconds + flops / (machine.cores * fastCore);
  const high = mostSeconds + flops / (machine.cores * slowCore);
  return {
    ...resources(recipe, facts, workspaceFolder),
    time: {
      low,
      high,
      measured: false,
      formula: `${millions(work.tokens)} tokens in all stages x 6 x ${millions(facts.card.parameters)} parameters, at ${String(slowCore / 1e9)} to ${String(fastCore / 1e9)} GFLOP/s for each of ${String(machine.cores)} cores; ${String(leastSeconds)} to ${String(mostSeconds)} s for starting, evaluating and exporting. A rehearsal replaces this guess by a measurement.`,
    },
    machine,
  };
}

/** Trains 20 steps of the task in a folder that is thrown away, and scales their time to the whole recipe. */
export async function rehearse(
  port: SpawnPort,
  recipe: Recipe,
  workspaceFolder: string,
  signal?: StopSignal,
): Promise<RecipeEstimate> {
  const facts = await gather(port, recipe);
  const work = workOf(recipe, facts.report);
  const folder = mkdtempSync(join(workspaceFolder, 'rehearsal-'));
  const times: { step: number; time: number; tokensPerSecond: number }[] = [];
  try {
    const optimiser = recipe.finetune?.optimiser ?? recipe.distil.optimiser;
    const short: Recipe = {
      ...recipe,
      finetune: { epochs: 1, steps: rehearsalSteps, optimiser },
      evaluation: { rowsDuringTraining: 0, everySteps: 0 },
    };
    await runInWorker(
      port,
      { kind: 'finetune', recipe: short, folder },
      {
        ...(signal === undefined ? {} : { signal }),
        onEvent: (event) => {
          const tokensPerSecond = event.type === 'metrics' ? event.values['tokens-per-second'] : undefined;
          if (event.type === 'metrics' && tokensPerSecond !== undefined)
            times.push({ step: event.step, time: performance.now(), tokensPerSecond });
        },
      },
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const first = times[0];
  const last = times.at(-1);
  if (first === undefined || last === undefined || last.step <= first.step)
    throw new TritsmithError('internal', 'The rehearsal ended before a step could be timed.', { remedy: 'Try again.' });
  const rate = times.slice(1).reduce((sum, { tokensPerSecond }) => sum + tokensPerSecond, 0) / (times.length - 1);
  const perStep = (last.time - first.time) / 1000 / (last.step - first.step);
  const seconds = work.weighted / rate;
  return {
    ...resources(recipe, facts, workspaceFolder),
    time: {
      low: seconds * 0.8,
      high: seconds * 1.4 + 20,
      measured: true,
      formula: `${String(last.step)} steps took ${perStep.toFixed(3)} s each here, ${Math.round(rate).toLocaleString('en')} tokens/s; ${millions(work.tokens)} tokens in all stages, weighted by what each stage costs (ternary × ${String(ternaryFactor)}, distilling + ${teacherForward.toFixed(2)}), −20 % to +40 %.`,
    },
    machine: describeMachine(),
  };
}

/** Reading every row takes seconds, and the wizard asks about the same files several times: the last few answers are kept. */
const gathered = new Map<string, Promise<Facts>>();
const mostGathered = 4;

function gather(port: SpawnPort, recipe: Recipe): Promise<Facts> {
  const { train, dev } = recipe.task;
  const stamps = [recipe.teacher, train, dev ?? train].map((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? '' : `${String(found.mtimeMs)} ${String(found.size)}`;
  });
  const key = JSON.stringify([recipe.teacher, recipe.task, stamps]);
  const known = gathered.get(key);
  if (known !== undefined) return known;
  const asked = readFacts(port, recipe);
  gathered.set(key, asked);
  for (const old of [...gathered.keys()].slice(0, -mostGathered)) gathered.delete(old);
  asked.catch(() => gathered.delete(key));
  return asked;
}

async function readFacts(port: SpawnPort, recipe: Recipe): Promise<Facts> {
  const card = await askWorker(port, { type: 'inspect-teacher', folder: recipe.teacher });
  if (!card.supported)
    throw new TritsmithError('unsupported', 'This teacher cannot be used.', {
      ...(card.problem === undefined ? {} : { reason: card.problem }),
      remedy: 'Choose another model folder.',
    });
  const report = await askWorker(port, {
    type: 'check-task',
    request: { settings: recipe.task, teacher: recipe.teacher },
  });
  return { card, report };
}

function workOf(recipe: Recipe, report: TaskReport): Work {
  const held = recipe.task.dev === undefined ? 1 - recipe.task.devFraction : 1;
  const rows = Math.min(recipe.task.limit ?? Infinity, report.train.usableRows * held);
  const perRow = Math.min(report.train.lengths.median + 4, recipe.task.maxLength);
  const stageTokens = (stage: {
    epochs: number;
    steps?: number | undefined;
    optimiser: { batchSize: number };
  }): number =>
    stage.steps === undefined ? stage.epochs * rows * perRow : stage.steps * stage.optimiser.batchSize * perRow;
  const finetune = recipe.finetune === null ? 0 : stageTokens(recipe.finetune);
  const pretrain = recipe.pretrain?.tokens ?? 0;
  const distil = stageTokens(recipe.distil);
  const baseline = recipe.baseline ? distil : 0;
  return {
    tokens: finetune + pretrain + distil + baseline,
    weighted: finetune + (pretrain + baseline) * ternaryFactor + distil * (ternaryFactor + teacherForward),
  };
}

function resources(recipe: Recipe, { card }: Facts, folder: string): Pick<RecipeEstimate, 'memory' | 'disk'> {
  const tokens = Math.max(
    recipe.distil.optimiser.microBatchTokens,
    recipe.finetune?.optimiser.microBatchTokens ?? 0,
    recipe.pretrain?.optimiser.microBatchTokens ?? 0,
  );
  const rowLength = Math.min(recipe.task.maxLength, card.contextLength);
  const memory = distillationBytes({ name: '', ...card }, tokens, rowLength, recipe.recomputeActivations);
  const free = process.availableMemory();
  const available = free > 0 ? free : freemem();
  // Weights and two AdamW moments, as "last" and "best", of the stage that trains; teacher, refined, student and baseline as float32 folders; exports.
  const folders =
    2 + (recipe.finetune === null ? 0 : 1) + (recipe.pretrain === null ? 0 : 1) + (recipe.baseline ? 1 : 0);
  const disk = card.parameters * (2 * 12 + folders * 4) + card.student.fileBytes * 2 + card.parameters * 2;
  const { bavail, bsize } = statfsSync(folder);
  return {
    memory: {
      needed: memory,
      available,
      fits: memory <= available * 0.9,
      formula: `${millions(card.parameters)} parameters x 20 bytes (student: weight, gradient, two moments; teacher: weight) + 4 bytes for each of the ${millions(card.bodyParameters)} that become ternary + activations of ${tokens.toLocaleString('en')} tokens a micro-batch${recipe.recomputeActivations ? ', recomputed' : ''} + the head's logits + 0.2 GB for the engine`,
    },
    disk: {
      needed: disk,
      available: bavail * bsize,
      fits: disk <= bavail * bsize * 0.95,
      formula: `${millions(card.parameters)} parameters x (24 bytes for two checkpoints with their optimiser + 4 bytes for each of ${String(folders)} model folders + 2 for the F16 export) + the exported students`,
    },
  };
}

function millions(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million`;
  return Math.round(count).toLocaleString('en');
}
