/** Runs the experiments of the benchmark on real models with the product's own presets, or finds them in its workspace, and measures what is left beside them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomically } from '../../main/basics/atomic-file.ts';
import { median } from '../../main/basics/numbers.ts';
import type { ComparedModel } from '../../main/contract/model-names.ts';
import type { Recipe } from '../../main/contract/recipe.ts';
import type { ComparisonRow, ExportedFile } from '../../main/contract/results.ts';
import { trainedModelFolders } from '../../main/experiment/folder.ts';
import { readEvaluation, readStoredComparison } from '../../main/experiment/results.ts';
import { forkPort } from '../../main/jobs/fork-port.ts';
import { findLlamaCpp, startLlamaCpp } from '../../main/llama-cpp/index.ts';
import { modelConfiguration } from '../../main/models/open-model.ts';
import { recipeTokenizer } from '../../main/pipeline/models-of-recipe.ts';
import { runExperiment } from '../../main/workbench/experiments/run-experiment.ts';
import type { Workspace } from '../../main/workbench/workspace/workspace.ts';
import { promptIds } from '../engines/protocol.ts';
import { storedExperiment } from '../fidelity/runs.ts';
import { PeakMemory } from './peak-memory.ts';
import { perplexity, textWindows } from './perplexity.ts';

/** Tokens per second of one file in llama.cpp, on one thread, as our runtime is measured; a text where it does not run there. */
export type InLlamaCpp = { readonly prefill: number; readonly decode: number } | { readonly refused: string };

export interface RealRun {
  readonly seed: number;
  readonly folder: string;
  /** Seconds and peak bytes by job. */
  readonly stages: readonly { readonly kind: string; readonly seconds: number; readonly peakBytes: number | null }[];
  readonly rows: readonly (ComparisonRow & { readonly agreement: number | null })[];
  readonly files: readonly ExportedFile[];
  /** By model, on the same windows of text. */
  readonly perplexity: Readonly<Partial<Record<ComparedModel | 'base', number>>>;
  /** By the file's path in the experiment. */
  readonly llamaCpp: Readonly<Record<string, InLlamaCpp>>;
}

/** A value that is measured once and kept in the experiment's folder. */
async function kept<T>(folder: string, name: string, measure: () => Promise<T>): Promise<T> {
  const path = join(folder, `bench-${name}.json`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const value = await measure();
  await writeFileAtomically(path, `${JSON.stringify(value)}\n`);
  return value;
}

const timedRounds = 5;
const prompt = 128;
const decoded = 64;

/** @param vocabulary tokens that the model knows @param rounds how many are timed */
async function inLlamaCpp(path: string, vocabulary: number, rounds: number): Promise<InLlamaCpp> {
  const component = findLlamaCpp();
  if (component === null) return { refused: 'llama.cpp is not installed' };
  try {
    const model = await startLlamaCpp(component, path, { threads: 1, contextLength: prompt + decoded + 1 });
    const found: { prefill: number; decode: number }[] = [];
    try {
      for (let round = 0; round <= rounds; round += 1) {
        const { prefillSeconds, decodeSeconds } = await model.timed(
          Int32Array.from(promptIds(prompt), (id) => id % vocabulary),
          decoded,
        );
        // The first of several rounds warms caches up.
        if (round > 0 || rounds === 0)
          found.push({ prefill: prompt / prefillSeconds, decode: decoded / decodeSeconds });
      }
    } finally {
      await model.close();
    }
    return { prefill: median(found.map(({ prefill }) => prefill)), decode: median(found.map(({ decode }) => decode)) };
  } catch (error) {
    return { refused: (error as Error).message };
  }
}

export interface RunOptions {
  readonly recipe: Recipe;
  /** Text whose perplexity is measured, and how many of its tokens; without it none is. */
  readonly perplexityOf?: { readonly text: string; readonly tokens: number };
  /** llama.cpp answers once from each file instead of several timed rounds. */
  readonly llamaCppOnce?: boolean;
  say(text: string): void;
}

/** The experiment of this recipe, run to its end now unless it is there, and everything that is said of its models. */
export async function realRun(
  workspace: Workspace,
  { recipe, perplexityOf, llamaCppOnce = false, say }: RunOptions,
): Promise<RealRun> {
  const found = storedExperiment(workspace, recipe);
  const memory = new PeakMemory(forkPort());
  const record =
    found?.state === 'done'
      ? found
      : await runExperiment(workspace, found?.id ?? recipe, {
          port: memory.port,
          onEvent: (event) => {
            if (event.type === 'job') memory.works(event.stage);
          },
        });
  if (record.state !== 'done') throw new Error(`The experiment ${record.id} ended ${record.state}.`);
  const folder = workspace.experimentFolder(record.id);
  const peaks = await kept(folder, 'peaks', () => Promise.resolve(memory.peaks));

  let perplexities: RealRun['perplexity'] = {};
  if (perplexityOf) {
    const { text, tokens } = perplexityOf;
    const windows = textWindows(text, await recipeTokenizer(recipe), tokens);
    perplexities = await kept(folder, `perplexity-${tokens}`, async () => {
      const result: Partial<Record<ComparedModel | 'base', number>> = {};
      const models = [{ name: 'base' as const, path: recipe.teacher }, ...trainedModelFolders(folder, recipe)];
      for (const { name, path } of models) {
        say(`${recipe.name}: perplexity of ${name}`);
        result[name] = await perplexity(path, windows, recipe.threads);
      }
      return result;
    });
  }

  const comparison = readStoredComparison(folder);
  const files = comparison?.exports ?? [];
  const { vocabSize } = await modelConfiguration(recipe.teacher);
  const llamaCpp: Record<string, InLlamaCpp> = {};
  for (const { path, type } of files) {
    if (!path.endsWith('.gguf')) continue;
    say(`${recipe.name}: ${type} in llama.cpp`);
    llamaCpp[path] = await kept(folder, `llama-cpp-${llamaCppOnce ? 'once-' : ''}${path.replace(/\W+/g, '-')}`, () =>
      inLlamaCpp(join(folder, path), vocabSize, llamaCppOnce ? 0 : timedRounds),
    );
  }
  return {
    seed: recipe.seed,
    folder,
    stages: record.stages.map(({ kind, seconds }) => ({ kind, seconds, peakBytes: peaks[kind] ?? null })),
    rows: (comparison?.rows ?? []).map((row) => ({
      ...row,
      agreement: readEvaluation(folder, row.name)?.scores.agreementWithTeacher ?? null,
    })),
    files,
    perplexity: perplexities,
    llamaCpp,
  };
}
