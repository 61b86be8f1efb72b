/** Runs an exported ONNX file in ONNX Runtime beside the graph engine. */
import '../../basics/no-telemetry.ts';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { argmax } from '../../basics/numbers.ts';
import { tell } from '../../contract/messages/told.ts';
import type { ExportCheck } from '../../contract/results.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';

/**
 * Logits at every place of every prompt. Both run the same operators in float32, so they agree but for the order of sums.
 * @param parameters with the embedding as the file holds it
 * @param onPrompt called before each prompt with how many are done; may throw to stop
 */
export async function onnxCheck(
  path: string,
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  prompts: readonly Int32Array[],
  threads: number,
  onPrompt: (done: number) => Promise<void> = () => Promise.resolve(),
): Promise<ExportCheck> {
  const session = await InferenceSession.create(path, { intraOpNumThreads: Math.max(1, threads), logSeverityLevel: 3 });
  const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads });
  const { vocabSize } = configuration;
  let largestDifference = 0;
  let largestLogit = 0;
  let places = 0;
  let samePlaces = 0;
  let exact = 0;
  try {
    for (const [index, prompt] of prompts.entries()) {
      await onPrompt(index);
      const { hidden } = await network.forward({ ids: prompt, batch: 1, length: prompt.length });
      const expected = await head.logits(hidden, Int32Array.from(prompt.keys()));
      const ids = new Tensor('int64', BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
      const found = (await session.run({ input_ids: ids })).logits!.data as Float32Array;
      for (let place = 0; place < prompt.length; place += 1) {
        const [a, b] = [found, expected].map((all) => all.subarray(place * vocabSize, (place + 1) * vocabSize));
        let difference = 0;
        for (let id = 0; id < vocabSize; id += 1) difference = Math.max(difference, Math.abs(a![id]! - b![id]!));
        for (const value of b!) largestLogit = Math.max(largestLogit, Math.abs(value));
        places += 1;
        if (argmax(a!) === argmax(b!)) samePlaces += 1;
        if (difference <= 1e-4 * Math.max(1, largestLogit)) exact += 1;
        largestDifference = Math.max(largestDifference, difference);
      }
    }
  } finally {
    await head.release();
    await network.release();
    await session.release();
  }
  const share = places === 0 ? 1 : exact / places;
  return {
    name: 'onnx',
    // An int8 rounding may fall the other way at a few places; a mistake would show at all of them.
    passed: share >= 0.5 && samePlaces >= 0.95 * places,
    ...tell('proof.onnx', { prompts: prompts.length, places, samePlaces, largestDifference, exactShare: share }),
    figures: { prompts: prompts.length, places, samePlaces, largestDifference, largestLogit, exactShare: share },
  };
}
