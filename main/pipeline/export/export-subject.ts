/** The model that an export is made of: as it is, or with a pruned vocabulary. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ExportSettings, Recipe } from '../../contract/recipe.ts';
import type { ExportCheck, VocabularyPruning } from '../../contract/results.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelTokenizer } from '../../models/open-model.ts';
import { countParameters } from '../../models/parameters.ts';
import { readEvaluation } from '../../experiment/results.ts';
import type { PreparedTask } from '../task/task-data.ts';
import type { Target } from './export-targets.ts';
import {
  type OnRow,
  prunedAnswersCheck,
  prunedTensors,
  type PrunedVocabulary,
  pruneVocabulary,
} from './pruned-model.ts';
import type { TensorSource } from './tensor-source.ts';

/** Prompts that each export is checked on; of a model from 50 M parameters on fewer, since each takes some ten forward passes in three engines. */
function checkedPrompts(configuration: ModelConfiguration): number {
  return countParameters(configuration).total < 50e6 ? 64 : 16;
}

/** Prompts of held-out rows, spread over all of them. */
export function promptsOf({ dev }: PreparedTask, configuration: ModelConfiguration): Int32Array[] {
  const count = Math.min(checkedPrompts(configuration), dev.length);
  return Array.from({ length: count }, (_, index) => dev[Math.floor((index * dev.length) / count)]!.prompt);
}

/** What is exported: the model of a folder as it is, or with a pruned vocabulary. */
export interface Subject {
  readonly configuration: ModelConfiguration;
  readonly tensors: TensorSource;
  readonly tokenizerFolder: string;
  readonly prompts: readonly Int32Array[];
  readonly pruned: PrunedVocabulary | null;
  readonly checks: readonly ExportCheck[];
}

/**
 * The model of a target with a pruned vocabulary, which answers the held-out rows as the whole one does.
 * @param scratch folder for the pruned tokenizer
 * @throws TritsmithError `unsupported` where an answer would change
 */
export async function prunedSubject(
  { folder, experiment, model }: Target,
  configuration: ModelConfiguration,
  tensors: TensorSource,
  task: PreparedTask,
  recipe: Recipe,
  scratch: string,
  onRow: OnRow,
): Promise<Subject> {
  const pruned = await pruneVocabulary(folder, configuration, task, scratch);
  const full = await modelTokenizer(folder);
  const evaluated = readEvaluation(experiment, model)?.predictions ?? [];
  const known = task.labels && evaluated.length === task.dev.length ? evaluated : null;
  const whole = { configuration, source: tensors, endId: full.eosId };
  const check = await prunedAnswersCheck(whole, pruned, task, { known, threads: recipe.threads, onRow });
  if (!check.passed) throw new TritsmithError('unsupported', 'export.pruning-changes-answers', { found: check });
  return {
    configuration: pruned.configuration,
    tensors: prunedTensors(tensors, pruned.kept, configuration.hiddenSize),
    tokenizerFolder: scratch,
    prompts: promptsOf(task, configuration).map(pruned.renumber),
    pruned,
    checks: [check],
  };
}

const bytesPerValue = { f32: 4, f16: 2, q8_0: 34 / 32, q6_k: 210 / 256 };

export function pruningOf(
  { pruned, configuration }: Subject,
  vocabSize: number,
  { type, embedding }: ExportSettings,
): VocabularyPruning | null {
  if (!pruned) return null;
  const stored = type === 'hf' || type === 'onnx' ? (embedding === 'f32' ? 'f32' : 'f16') : embedding;
  const tables = configuration.tiedEmbeddings ? 1 : 2;
  const dropped = vocabSize - pruned.kept.length;
  return {
    tokensBefore: vocabSize,
    tokensAfter: pruned.kept.length,
    savedBytes: Math.round(dropped * configuration.hiddenSize * bytesPerValue[stored] * tables),
  };
}
