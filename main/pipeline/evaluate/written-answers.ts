/** Answers of a text-writing task by the arithmetic that is deployed: the model as a GGUF file in the native runtime, with its KV cache. */
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadModel, type StudentModel } from '../../../native/runtime.ts';
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
  /** Called after each row with how many are done; may throw to stop. */
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
  const cache = cacheFolder(experiment);
  await mkdir(cache, { recursive: true });
  const path = join(cache, `evaluated-${String(process.pid)}.gguf`);
  const tensors = await openTensorSource(folder, configuration);
  try {
    const linear = configuration.ternary ? 'I2_S' : 'F16';
    const own = configuration.ternary && exportObstacle({ type: 'i2_s', embedding: 'f16' }, configuration) !== null;
    await writeGgufModel(
      path,
      { name: 'evaluated', configuration, tensors, tokenizer },
      { linear, embedding: 'F16', own },
      () => (options.stopping() ? options.onRow(0) : Promise.resolve()),
    );
    const model = loadModel(path, {
      threads: options.threads === 0 ? availableParallelism() : options.threads,
      kvType: 'f32',
      contextLength: configuration.maxPositions,
    });
    try {
      return await answersOf(model, tokenizer, rows, options);
    } finally {
      model.close();
    }
  } finally {
    await tensors.close();
    await rm(path, { force: true });
  }
}

async function answersOf(
  model: StudentModel,
  tokenizer: Tokenizer,
  rows: readonly EvaluationRow[],
  { maxNewTokens, stopping, onRow }: WritingOptions,
): Promise<WrittenAnswers> {
  const { eosId } = tokenizer;
  const stopTokens = eosId === null ? [] : [eosId];
  const answers: number[][] = [];
  let likelihood = 0;
  let scored = 0;
  for (const { prompt, referenceIds } of rows) {
    model.reset();
    const { tokens } = await model.generate(prompt, { maxTokens: maxNewTokens, stopTokens }, () =>
      stopping() ? false : undefined,
    );
    answers.push([...tokens].filter((id) => id !== eosId));
    likelihood += referenceLikelihood(model, prompt, referenceIds);
    scored += referenceIds.length;
    await onRow(answers.length);
  }
  return { answers, crossEntropy: -likelihood / Math.max(1, scored) };
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
