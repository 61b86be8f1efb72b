/** A small student with the widths that every GGUF type can hold, trained on the demo's corpus until it has learned its words. For tests. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { optimiserSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { initialParameters } from '../../models/initial-parameters.ts';
import { Network } from '../../models/network.ts';
import { ParameterBuffer } from '../../models/parameters.ts';
import { exampleBatches, rowsInMemory } from '../../training/batches.ts';
import { AdamW } from '../../training/optimiser.ts';
import { Random } from '../../basics/random.ts';
import { TrainingStep } from '../../training/training-step.ts';
import { tinyConfiguration, tokenizerFolder } from './fixtures.ts';

const corpus = fileURLToPath(new URL('../../../resources/demo/corpus.jsonl', import.meta.url));

async function corpusRows(count: number, length: number): Promise<Int32Array[]> {
  const { encode } = await loadTokenizer(tokenizerFolder);
  const rows: Int32Array[] = [];
  const lines = createInterface({ input: createReadStream(corpus) });
  for await (const line of lines) {
    const { text } = JSON.parse(line) as { text: string };
    const ids = Int32Array.from(encode(text)).subarray(0, length);
    if (ids.length > 8) rows.push(ids);
    if (rows.length === count) break;
  }
  lines.close();
  return rows;
}

export interface TrainedStudent {
  readonly configuration: ModelConfiguration;
  readonly parameters: ParameterBuffer;
  /** Beginnings of texts that it was not trained on. */
  readonly prompts: readonly Int32Array[];
  /** Cross-entropy of the first and of the last step, nats per token. */
  readonly losses: readonly [number, number];
}

/** Trains `steps` steps of 16 rows of up to 32 tokens. */
export async function trainedStudent(
  steps: number,
  changes: Partial<ModelConfiguration> = {},
): Promise<TrainedStudent> {
  const configuration = tinyConfiguration(changes);
  const rows = await corpusRows(1000, 32);
  const random = new Random(5);
  const parameters = initialParameters(configuration, () => random.normal());
  const network = await Network.create(configuration, parameters, { threads: 1, mode: 'training' });
  const step = await TrainingStep.create(network, null, { threads: 1 });
  const optimiser = new AdamW(parameters, optimiserSettings.parse({ learningRate: 3e-3 }));
  const gradients = new ParameterBuffer(parameters.specifications);
  const examples = rows.slice(64).map((ids) => ({ ids, responseStart: 1 }));
  const batches = exampleBatches(rowsInMemory(examples), { batchSize: 16, microBatchTokens: 512, seed: 1 });
  const losses: number[] = [];
  try {
    for (let at = 1; at <= steps; at += 1) {
      losses.push((await step.run(at, await batches.at(at), gradients)).crossEntropy);
      optimiser.step(gradients, at, 3e-3 * Math.min(1, at / 10));
      network.refreshTernary();
    }
  } finally {
    await step.release();
    await network.release();
  }
  return {
    configuration,
    parameters,
    prompts: rows.slice(0, 64).map((ids) => ids.subarray(0, 12)),
    losses: [losses[0]!, losses.at(-1)!],
  };
}
