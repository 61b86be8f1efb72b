/**
 * Runs an exported file in llama.cpp beside our runtime, and beside the graph engine with llama.cpp's own arithmetic.
 *
 * llama.cpp multiplies ternary (and Q6_K) weights by activations that it rounds to int8 in blocks of 256, Q8_0, Q4_0 and Q2_0 weights by int8 in
 * blocks of 32, and F16 weights by float16 (on processors with AMX by float32); ours rounds once per token, as in training, or not at all. So its logits are not ours to the
 * last digit, and comparing them with ours alone would prove little. The graph engine can round as llama.cpp does: its logits must then be
 * llama.cpp's, up to what float32 sums in another order do to single roundings.
 */
import { loadModel } from '../../../native/runtime.ts';
import { tell } from '../../contract/messages/told.ts';
import type { ExportCheck } from '../../contract/results.ts';
import { startLlamaCpp } from '../../llama-cpp/index.ts';
import type { ActivationRounding } from '../../graph/rounded-activations.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { type GgufEncoding, scaleName } from './gguf-encoding.ts';
import { continueGreedily, fillFromFile, valuesInFile } from './file-in-runtime.ts';
import type { GgufPlan } from './gguf-layout.ts';
import { argmax } from '../../basics/numbers.ts';
import { largestGap, sensitivityOf } from './logit-comparison.ts';

export interface LlamaCppAgreement {
  readonly prompts: number;
  /** Greedy tokens compared, and how many of llama.cpp's are our runtime's. */
  readonly tokens: number;
  readonly sameTokens: number;
  /** Tokens of llama.cpp that are neither ours nor what its arithmetic gives in the graph engine, nor so close there that either may win. */
  readonly unexplainedTokens: number;
  /** Largest difference of a logit from the graph engine with llama.cpp's rounding, and from our runtime; the largest logit to see them against. */
  readonly largestDifference: number;
  readonly differenceFromOurs: number;
  readonly largestLogit: number;
  /** Share of the places at which no logit differs from the graph engine's by more than 1e-3. */
  readonly exactShare: number;
  /** Difference from our logits that the graph engine gets with llama.cpp's rounding: the one to expect. */
  readonly roundingDifference: number;
  /** By how much single roundings that fall the other way move the graph engine's logits (runtime-check.ts). */
  readonly sensitivity: number;
}

/**
 * llama.cpp's logits may differ from its arithmetic in the graph engine by float32 rounding (a thousandth of the largest logit), and where
 * a rounding of an activation falls the other way because of it, by a few times what such roundings were seen to do.
 */
function allowedDifference({ largestLogit, sensitivity }: LlamaCppAgreement): number {
  return Math.max(1e-3 * Math.max(1, largestLogit), 3 * sensitivity);
}

export function llamaCppCheck(found: LlamaCppAgreement): ExportCheck {
  const { prompts, tokens, sameTokens, unexplainedTokens, largestDifference, differenceFromOurs } = found;
  const allowed = allowedDifference(found);
  return {
    name: 'llama.cpp',
    passed: unexplainedTokens === 0 && largestDifference <= allowed,
    ...tell('proof.llama-cpp', { prompts, tokens, sameTokens, differenceFromOurs, largestDifference, allowed }),
    figures: { ...found, allowedDifference: allowed },
  };
}

/** Tokens that each prompt is continued with. */
const continuation = 8;

/**
 * By how much the embeddings are moved to see what single roundings do: the order of the differences between llama.cpp's float32
 * functions and ours (rotation angles by repeated multiplication, its own exponential).
 */
const nudge = 2 ** -16;

/** Logits that differ by no more are called the same. */
const exactBound = 1e-3;

/**
 * How llama.cpp rounds activations before a product with weights of a type.
 * @param amx the product is computed in AMX's tiles, which take float32 activations for F16 weights (ggml-cpu/amx/mmq.cpp)
 */
export function llamaCppRounding(
  type: GgufEncoding['linear'] | GgufEncoding['embedding'],
  amx: boolean,
): ActivationRounding {
  switch (type) {
    case 'TQ2_0':
    case 'TQ1_0':
    case 'Q6_K':
      return 'blocks-256';
    case 'Q8_0':
    case 'Q4_0':
    case 'Q2_0':
      return 'blocks-32';
    case 'F16':
      return amx ? 'none' : 'float16';
    case 'F32':
    case 'I2_S':
    case 'T3_4':
      return 'none';
  }
}

/** The file's values as a full-precision model, ternary ones times their scale. */
async function denseParameters(
  path: string,
  plan: GgufPlan,
  configuration: ModelConfiguration,
): Promise<ParameterBuffer> {
  return fillFromFile(path, plan, configuration, async (file, tensor) => {
    const values = await valuesInFile(file, tensor);
    const scaled = scaleName(tensor.name);
    if (scaled === tensor.name || !file.tensors.has(scaled)) return values;
    const scale = (await file.readFloat32(scaled))[0]!;
    return values.map((value) => value * scale);
  });
}

/** The model in the graph engine with a rounding of activations. */
async function openGraph(
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  threads: number,
  roundings: { readonly linear: ActivationRounding; readonly head: ActivationRounding },
) {
  const network = await Network.create(configuration, parameters, {
    threads,
    mode: 'inference',
    rounding: roundings.linear,
  });
  const head = await ScoringHead.create(network, { threads }, roundings.head);
  return {
    /** Logits `[continuation, V]` after the last `continuation` of `ids`. */
    async logits(ids: Int32Array): Promise<Float32Array> {
      const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
      return head.logits(
        hidden,
        Int32Array.from({ length: continuation }, (_, step) => ids.length - continuation + step),
      );
    },
    async release(): Promise<void> {
      await head.release();
      await network.release();
    },
  };
}

export interface LlamaCppSubject {
  /** The file, which llama.cpp is expected to load. */
  readonly path: string;
  /** A file of the same values that our runtime executes: usually `path` itself. */
  readonly ours: string;
  /** The file that the expected values are read of, where it is not `path`. */
  readonly values?: string;
  readonly plan: GgufPlan;
  readonly configuration: ModelConfiguration;
  readonly encoding: GgufEncoding;
}

/**
 * @param component folder of llama.cpp
 * @throws TritsmithError `unsupported` when llama.cpp refuses the file, `worker-died` when it crashes
 */
export async function compareWithLlamaCpp(
  component: string,
  { path, ours, values = path, plan, configuration, encoding }: LlamaCppSubject,
  { prompts, threads }: { readonly prompts: readonly Int32Array[]; readonly threads: number },
  onPrompt: (done: number) => Promise<void> = () => Promise.resolve(),
): Promise<LlamaCppAgreement> {
  const { vocabSize, hiddenSize, maxPositions } = configuration;
  const dense = { ...configuration, ternary: false };
  const parameters = await denseParameters(values, plan, dense);
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0) + continuation;
  const contextLength = Math.min(maxPositions, Math.max(64, longest));
  const peer = await startLlamaCpp(component, path, { threads: Math.max(1, threads), contextLength, kvType: 'f32' });
  const own = loadModel(ours, { threads: Math.max(1, threads), kvType: 'f32' });
  const roundings = {
    linear: llamaCppRounding(encoding.linear, peer.amx),
    // The "bitnet" graph multiplies by the input table itself, which lies outside AMX's buffers; others have a copy of it as their head.
    head: llamaCppRounding(encoding.embedding, peer.amx && plan.architecture !== 'bitnet'),
  };
  const twin = await openGraph(dense, parameters, threads, roundings);
  const rows = (logits: Float32Array): Float32Array[] =>
    Array.from({ length: continuation }, (_, step) => logits.subarray(step * vocabSize, (step + 1) * vocabSize));

  const found = { tokens: 0, sameTokens: 0, exactShare: 0, largestDifference: 0, differenceFromOurs: 0 };
  let [roundingDifference, sensitivity, largestLogit] = [0, 0, 0];
  /** For each token of llama.cpp that neither we nor the graph engine chose: how far the logit of the graph engine's best lies above that token's. */
  const gaps: number[] = [];
  try {
    for (const [index, whole] of prompts.entries()) {
      await onPrompt(index);
      const prompt = whole.subarray(Math.max(0, whole.length - contextLength + continuation));
      const mine = continueGreedily(own, prompt, continuation);
      const ids = Int32Array.from([...prompt, ...mine.tokens.slice(0, -1)]);
      const expected = await twin.logits(ids);
      const run = (): Promise<Float32Array> => twin.logits(ids);
      sensitivity = Math.max(sensitivity, await sensitivityOf(parameters, hiddenSize, ids, expected, run, nudge));
      const theirs = await peer.logits(ids, prompt.length - 1);
      for (const [step, twinRow] of rows(expected).entries()) {
        const [row, ourRow] = [theirs[step]!, mine.logits[step]!];
        const difference = largestGap(row, twinRow);
        found.largestDifference = Math.max(found.largestDifference, difference);
        found.differenceFromOurs = Math.max(found.differenceFromOurs, largestGap(row, ourRow));
        roundingDifference = Math.max(roundingDifference, largestGap(twinRow, ourRow));
        for (const value of ourRow) largestLogit = Math.max(largestLogit, Math.abs(value));
        found.tokens += 1;
        if (difference <= exactBound) found.exactShare += 1;
        const [token, best] = [argmax(row), argmax(twinRow)];
        if (token === argmax(ourRow)) found.sameTokens += 1;
        else if (token !== best) gaps.push(twinRow[best]! - twinRow[token]!);
      }
    }
  } finally {
    await peer.close();
    own.close();
    await twin.release();
  }
  return {
    prompts: prompts.length,
    ...found,
    exactShare: found.exactShare / Math.max(1, found.tokens),
    largestLogit,
    unexplainedTokens: gaps.filter((gap) => gap > 2 * sensitivity).length,
    roundingDifference,
    sensitivity,
  };
}
