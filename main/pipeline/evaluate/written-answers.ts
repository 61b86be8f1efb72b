/** Answers of a text-writing task by the arithmetic that is deployed: the model as a GGUF file in the native runtime, with its KV cache. */
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadModel, type StudentModel } from '../../../native/runtime.ts';
import { alone, type Collective, gatherTexts, isRoot, meet } from '../../training/collective.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { cacheFolder } from '../../experiment/folder.ts';
import { exportObstacle } from '../export/capabilities.ts';
import { writeGgufModel } from '../export/gguf-file.ts';
import { openTensorSource } from '../export/tensor-source.ts';
import { logSumExp } from '../task/label-scores.ts';
import type { EvaluationRow } from '../task/evaluation-rows.ts';

export interface WrittenAnswers {
  /** Greedy answer of each row, without the end token. */
  readonly answers: readonly (readonly number[])[];
  /** Mean cross-entropy of the reference answers, nats per token. */
  readonly crossEntropy: number;
}

export interface WritingOptions {
  readonly maxNewTokens: number;
  /** 0: as many as the processor has. */
  readonly threads: number;
  readonly stopping: () => boolean;
  /** Ranks that share the rows; absent: this process writes all answers. */
  readonly collective?: Collective;
  /** Called after each row with about how many are done; may throw to stop. */
  readonly onRow: (done: number) => Promise<void>;
}

/**
 * Writes the model of `folder` as a file that is thrown away afterwards (I2_S, where no architecture holds it of our own; a full-precision model F16;
 * embedding F16), continues each
 * prompt by greedy tokens until the end token, and scores the reference answers. Keys and values stay in float32, as in training.
 * @throws TritsmithError, StudentError, and whatever `onRow` throws
 */
export async function writeAnswers(
  experiment: string,
  folder: string,
  configuration: ModelConfiguration,
  tokenizer: Tokenizer,
  rows: readonly EvaluationRow[],
  options: WritingOptions,
): Promise<WrittenAnswers> {
  const collective = options.collective ?? alone;
  const cache = cacheFolder(experiment);
  await mkdir(cache, { recursive: true });
  const [writer] = await gatherTexts(collective, String(process.pid));
  const path = join(cache, `evaluated-${writer!}.gguf`);
  try {
    if (isRoot(collective)) await writeModel(path, folder, configuration, tokenizer, options);
    await meet(collective);
    const model = loadModel(path, {
      threads: options.threads === 0 ? availableParallelism() : options.threads,
      kvType: 'f32',
      contextLength: configuration.maxPositions,
    });
    try {
      return await answersOf(model, tokenizer, rows, collective, options);
    } finally {
      model.close();
    }
  } finally {
    if (isRoot(collective)) await rm(path, { force: true });
  }
}

/** Writes the model of `folder` as a file that the runtime runs. @throws TritsmithError, and whatever `onRow` throws where it is to stop */
export async function writeModel(
  path: string,
  folder: string,
  configuration: ModelConfiguration,
  tokenizer: Tokenizer,
  { stopping, onRow }: Pick<WritingOptions, 'stopping' | 'onRow'>,
): Promise<void> {
  const tensors = await openTensorSource(folder, configuration);
  try {
    const linear = configuration.ternary ? 'I2_S' : 'F16';
    const own = configuration.ternary && exportObstacle({ type: 'i2_s', embedding: 'f16' }, configuration) !== null;
    await writeGgufModel(
      path,
      { name: 'evaluated', configuration, tensors, tokenizer },
      { linear, embedding: 'F16', own },
      () => (stopping() ? onRow(0) : Promise.resolve()),
    );
  } finally {
    await tensors.close();
  }
}

/** What a rank found of a row; JSON has no infinities, so the likelihood is text. */
interface Answered {
  readonly ids: number[];
  readonly likelihood: string;
}

async function answersOf(
  model: StudentModel,
  tokenizer: Tokenizer,
  rows: readonly EvaluationRow[],
  collective: Collective,
  { maxNewTokens, stopping, onRow }: WritingOptions,
): Promise<WrittenAnswers> {
  const { rank, size } = collective;
  const { eosId } = tokenizer;
  const stopTokens = eosId === null ? [] : [eosId];
  const own: Answered[] = [];
  for (const { prompt, referenceIds } of rows.filter((_, row) => row % size === rank)) {
    model.reset();
    const { tokens } = await model.generate(prompt, { maxTokens: maxNewTokens, stopTokens }, () =>
      stopping() ? false : undefined,
    );
    const ids = [...tokens].filter((id) => id !== eosId);
    own.push({ ids, likelihood: String(referenceLikelihood(model, prompt, referenceIds)) });
    await onRow(Math.min(rows.length, own.length * size));
  }
  const all = (await gatherTexts(collective, JSON.stringify(own))).map((text) => JSON.parse(text) as Answered[]);
  const answered = rows.map((_, row) => all[row % size]![Math.floor(row / size)]!);
  const scored = rows.reduce((sum, { referenceIds }) => sum + referenceIds.length, 0);
  const likelihood = answered.reduce((sum, each) => sum + Number(each.likelihood), 0);
  return { answers: answered.map(({ ids }) => ids), crossEntropy: -likelihood / Math.max(1, scored) };
}

/** Tokens whose logits are looked at together: a bound on memory where vocabularies are large. */
const scoredAtOnce = 16;

/** Log-probability of `answer` after `prompt`, whose keys and values are still in the cache. */
function referenceLikelihood(model: StudentModel, prompt: Int32Array, answer: Int32Array): number {
  // The logits after the prompt are not kept, so its last token is run again.
  model.reset(prompt.length - 1);
  const inputs = Int32Array.of(prompt.at(-1)!, ...answer.subarray(0, -1));
  const width = model.info.vocabularySize;
  let sum = 0;
  for (let begin = 0; begin < answer.length; begin += scoredAtOnce) {
    const logits = model.logits(inputs.subarray(begin, begin + scoredAtOnce));
    answer.subarray(begin, begin + scoredAtOnce).forEach((token, at) => {
      const row = logits.subarray(at * width, (at + 1) * width);
      sum += row[token]! - logSumExp(row);
    });
  }
  return sum;
}
