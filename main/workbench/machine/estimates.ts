/** What a recipe takes before it is run: a worker's forecast beside what this machine has. */
import { mkdtempSync, rmSync, statSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { freeMemory } from '../../basics/free-memory.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type {
  DiskTerm,
  MeasuredSpeed,
  MemoryTerm,
  RecipeForecast,
  ResourceTerm,
  TaskSize,
} from '../../contract/estimates.ts';
import { sumOf } from '../../contract/quantities.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ResourceEstimate } from '../../contract/resources.ts';
import type { RecipeEstimate } from '../../contract/views.ts';
import { askWorker, runInWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { StopSignal } from '../../jobs/stop-signal.ts';
import { describeMachine } from './machine.ts';

const rehearsalSteps = 20;
/** Share of what is free that a need may take. */
const mostOfMemory = 0.9;
const mostOfDisk = 0.95;

export async function estimate(port: SpawnPort, recipe: Recipe, workspaceFolder: string): Promise<RecipeEstimate> {
  return besideMachine(await forecast(port, recipe), workspaceFolder);
}

/** Trains 20 steps of the task in a folder that is thrown away, and forecasts the whole recipe from their speed. */
export async function rehearse(
  port: SpawnPort,
  recipe: Recipe,
  workspaceFolder: string,
  signal?: StopSignal,
): Promise<RecipeEstimate> {
  const folder = mkdtempSync(join(workspaceFolder, 'rehearsal-'));
  const times: { step: number; time: number; tokensPerSecond: number }[] = [];
  try {
    const optimiser = recipe.finetune?.optimiser ?? recipe.distil.optimiser;
    const short: Recipe = {
      ...recipe,
      finetune: { epochs: 1, steps: rehearsalSteps, optimiser },
      keepBest: undefined,
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
    throw new TritsmithError('internal', 'rehearsal.too-short');
  const measured: MeasuredSpeed = {
    steps: last.step,
    secondsPerStep: (last.time - first.time) / 1000 / (last.step - first.step),
    tokensPerSecond: times.slice(1).reduce((sum, { tokensPerSecond }) => sum + tokensPerSecond, 0) / (times.length - 1),
  };
  return besideMachine(await forecast(port, recipe, measured), workspaceFolder);
}

/** The answers to the last few questions: pages ask the same thing several times. */
class Kept<T> {
  readonly #answers = new Map<string, Promise<T>>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** The kept answer, or the one that `ask` gives now; a failure is not kept. */
  get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const asked = ask();
    this.#answers.set(key, asked);
    for (const old of [...this.#answers.keys()].slice(0, -this.#most)) this.#answers.delete(old);
    asked.catch(() => this.#answers.delete(key));
    return asked;
  }

  find(key: string): Promise<T> | undefined {
    return this.#answers.get(key);
  }
}
/** Reading every row of a task takes seconds. */
const sizes = new Kept<TaskSize>(4);
const forecasts = new Kept<RecipeForecast>(12);

/** Size and time of the last change of the files that a question is about. */
function stampsOf({ teacher, task, moreRows, reconstruct, pretrain }: Recipe): string[] {
  const corpora = [pretrain?.corpus, reconstruct?.corpus, moreRows?.file].map((path) => path ?? task.train);
  const paths = [teacher, join(teacher, 'config.json'), task.train, task.dev ?? task.train, ...corpora];
  return paths.map((path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? '' : `${String(found.mtimeMs)} ${String(found.size)}`;
  });
}

/** Of everything that a task's size depends on. */
function taskKey(recipe: Recipe): string {
  return JSON.stringify([recipe.teacher, recipe.studentBase, recipe.task, recipe.seed, stampsOf(recipe).slice(0, 4)]);
}

/** The size of the recipe's task, if it was read since the workbench began; null where it was not. */
export async function knownTaskSize(recipe: Recipe): Promise<TaskSize | null> {
  return (await sizes.find(taskKey(recipe))) ?? null;
}

async function forecast(
  port: SpawnPort,
  recipe: Recipe,
  measured: MeasuredSpeed | null = null,
): Promise<RecipeForecast> {
  const task = taskKey(recipe);
  return forecasts.get(JSON.stringify([{ ...recipe, name: '' }, stampsOf(recipe), measured]), async () => {
    const size = await knownTaskSize(recipe);
    const answer = askWorker(port, { type: 'forecast-recipe', recipe, size, measured });
    if (size === null) void sizes.get(task, async () => (await answer).size).catch(() => undefined);
    return answer;
  });
}

/** A need beside what there is of it; `share` of that may be taken. */
export function need(terms: readonly ResourceTerm[], available: number, share: number): ResourceEstimate {
  const needed = sumOf(terms);
  return { needed, available, fits: needed <= available * share, terms: [...terms] };
}

export function memoryNeed(terms: readonly ResourceTerm[]): ResourceEstimate {
  return need(terms, freeMemory(), mostOfMemory);
}

/** What of the disk is taken at the same time at most: a stage's checkpoints go when it is done, so those of the largest count. */
function diskAtOnce(terms: readonly DiskTerm[]): DiskTerm[] {
  const passing = ['checkpoint-files', 'best-step'] as const;
  const largest = passing.map((id) =>
    terms
      .filter((term) => term.id === id)
      .reduce<DiskTerm | null>((most, term) => (term.bytes > (most?.bytes ?? 0) ? term : most), null),
  );
  return terms.filter((term) => !(passing as readonly string[]).includes(term.id) || largest.includes(term));
}

/** Of a step's memory what a card holds: of each parameter its gradient and the weight that computes, a byte where it is ternary; moments and latent weights stay with the processor. */
function cardBytesOf(terms: readonly MemoryTerm[]): number {
  return terms.reduce((sum, { id, bytes, params }) => {
    if (id === 'engine') return sum;
    if (id === 'trained') return sum + 8 * params.parameters;
    return sum + (id === 'ternary' ? -3 * params.parameters : bytes);
  }, 0);
}

function besideMachine(found: RecipeForecast, folder: string): RecipeEstimate {
  const { stages } = found;
  const peak = stages.reduce((most, stage) => (sumOf(stage.memory) > sumOf(most.memory) ? stage : most));
  const { bavail, bsize } = statfsSync(folder);
  return {
    cardBytes: Math.max(...stages.map(({ memory }) => cardBytesOf(memory))),
    memory: { ...memoryNeed(peak.memory), stage: peak.kind },
    disk: need(diskAtOnce(stages.flatMap(({ disk }) => disk)), bavail * bsize, mostOfDisk),
    time: {
      low: stages.reduce((sum, { seconds }) => sum + seconds.low, 0),
      high: stages.reduce((sum, { seconds }) => sum + seconds.high, 0),
    },
    forecast: found,
    machine: describeMachine(),
  };
}
