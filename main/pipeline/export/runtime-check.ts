/** Runs an exported file in the native runtime beside the graph engine: the same logits, the same greedy tokens. */
import { loadModel } from '../../../native/runtime.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { argmax } from '../../basics/numbers.ts';
import { continueGreedily, fillFromFile, valuesInFile } from './file-in-runtime.ts';
import type { GgufPlan } from './gguf-layout.ts';
import { largestGap, sensitivityOf } from './logit-comparison.ts';
import type { TensorSource } from './tensor-source.ts';

export interface RuntimeAgreement {
  readonly prompts: number;
  /** Greedy tokens compared, and how many were the same. */
  readonly tokens: number;
  readonly sameTokens: number;
  /** Prompts whose whole continuation is the same. */
  readonly samePrompts: number;
  /** Tokens that differ although the graph engine's best two logits lie further apart than float32 and single roundings explain. */
  readonly unexplainedTokens: number;
  /** Largest difference of a logit, and the largest logit it is to be seen against. */
  readonly largestDifference: number;
  readonly largestLogit: number;
  /** Share of the places at which no logit differs by more than 1e-4. */
  readonly exactShare: number;
  /**
   * By how much the graph engine's own logits move when the prompt's embeddings move by one part in a million: an activation near the
   * middle between two int8 steps then rounds the other way. What differs by less than a few times this is rounding, not a mistake.
   */
  readonly sensitivity: number;
}

/** Tokens that each prompt is continued with where nothing else is asked. */
const usualContinuation = 8;

/**
 * The model that the file holds: dense values as they are in the file; of ternary layers the latent weights and learned scales, which the engine quantises
 * as it does in training (the read-back has shown that the file holds the same).
 */
export async function parametersOfFile(
  path: string,
  plan: GgufPlan,
  configuration: ModelConfiguration,
  source: TensorSource,
): Promise<ParameterBuffer> {
  const parameters = await fillFromFile(path, plan, configuration, (file, tensor) =>
    tensor.kind === 'linear' && configuration.ternary ? source.read(tensor.source) : valuesInFile(file, tensor),
  );
  for (const { name, scaleOf } of parameters.specifications)
    if (scaleOf !== null) parameters.view(name).set(await source.read(name));
  return parameters;
}

/**
 * Continues every prompt by greedy tokens in the runtime (keys and values in float32) and asks the graph engine for the logits at the
 * same places. When all tokens are the same, the graph engine's own greedy continuation is this one: each of its tokens follows from
 * those before.
 * @param parameters as `parametersOfFile` gives them
 * @param prompts token ids; those that leave no room in the context are cut at the front
 */
export async function compareWithGraph(
  path: string,
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  prompts: readonly Int32Array[],
  threads: number,
  onPrompt: (done: number) => Promise<void> = () => Promise.resolve(),
  continuation = usualContinuation,
): Promise<RuntimeAgreement> {
  const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads });
  const model = loadModel(path, { threads: Math.max(1, threads), kvType: 'f32' });
  const { vocabSize } = configuration;
  let tokens = 0;
  let sameTokens = 0;
  let samePrompts = 0;
  let largestDifference = 0;
  let largestLogit = 0;
  let exact = 0;
  let sensitivity = 0;
  const gaps: number[] = [];
  try {
    for (const [index, whole] of prompts.entries()) {
      await onPrompt(index);
      const room = Math.min(model.info.contextLength, configuration.maxPositions) - continuation;
      const prompt = whole.subarray(Math.max(0, whole.length - room));
      const found = continueGreedily(model, prompt, continuation);
      const ids = Int32Array.from([...prompt, ...found.tokens.slice(0, -1)]);
      const positions = Int32Array.from({ length: continuation }, (_, step) => prompt.length - 1 + step);
      const graphLogits = async (): Promise<Float32Array> => {
        const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
        return head.logits(hidden, positions);
      };
      const expected = await graphLogits();
      sensitivity = Math.max(
        sensitivity,
        await sensitivityOf(parameters, configuration.hiddenSize, ids, expected, graphLogits),
      );
      const differing = gaps.length;
      for (const [step, actual] of found.logits.entries()) {
        const row = expected.subarray(step * vocabSize, (step + 1) * vocabSize);
        const difference = largestGap(actual, row);
        largestDifference = Math.max(largestDifference, difference);
        for (const value of row) largestLogit = Math.max(largestLogit, Math.abs(value));
        if (difference <= 1e-4) exact += 1;
        tokens += 1;
        const best = argmax(row);
        if (best === found.tokens[step]) sameTokens += 1;
        else gaps.push(row[best]! - row[found.tokens[step]!]!);
      }
      if (gaps.length === differing) samePrompts += 1;
    }
  } finally {
    model.close();
    await head.release();
    await network.release();
  }
  return {
    prompts: prompts.length,
    tokens,
    sameTokens,
    samePrompts,
    unexplainedTokens: gaps.filter((gap) => gap > 2 * Math.max(sensitivity, 1e-4 * largestLogit)).length,
    largestDifference,
    largestLogit,
    exactShare: exact / Math.max(1, tokens),
    sensitivity,
  };
}
