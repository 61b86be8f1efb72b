/** Pre-trains a small base model from scratch, where no pretrained one can be had. Resumable like every training job. */
import { basename, join } from 'node:path';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { readModelConfiguration } from '../../models/architectures/index.ts';
import { initialParameters } from '../../models/initial-parameters.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { Network } from '../../models/network.ts';
import { Random } from '../../basics/random.ts';
import { train } from '../../training/trainer.ts';
import { TrainingStep } from '../../training/training-step.ts';
import { corpusBatches, tokeniseCorpus } from './corpus-tokens.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { type JobContext, JobStopped } from '../job.ts';

export interface BaseModelSettings {
  /** Holds `config.json` and the tokenizer; the weights are written here. */
  readonly folder: string;
  /** For the token cache and checkpoints. */
  readonly workFolder: string;
  readonly corpus: string;
  readonly tokens: number;
  readonly sequenceLength: number;
  readonly optimiser: OptimiserSettings;
  readonly seed: number;
  readonly threads: number;
  readonly dtype: 'F32' | 'BF16';
}

/** @returns the mean training loss over the last tenth of the steps, nats per token */
export async function makeBaseModel(settings: BaseModelSettings, context: JobContext): Promise<number> {
  const { folder, workFolder, corpus, tokens, sequenceLength, optimiser, seed, threads } = settings;
  const configuration = await readModelConfiguration(folder);
  const tokenizer = await loadTokenizer(folder, { vocabSize: configuration.vocabSize });
  const totalSteps = Math.ceil(tokens / (sequenceLength * optimiser.batchSize));
  const wanted = totalSteps * sequenceLength * optimiser.batchSize;
  const file = await tokeniseCorpus(
    corpus,
    tokenizer,
    join(workFolder, 'corpus.tokens'),
    wanted,
    textSha256(JSON.stringify([basename(corpus), wanted, tokenizer.sha256])),
    () => Promise.resolve(),
  );
  const random = new Random(seed);
  const parameters = initialParameters(configuration, () => random.normal());
  const network = await Network.create(configuration, parameters, { threads, mode: 'training' });
  const trainingStep = await TrainingStep.create(network, null, { threads });
  const batches = corpusBatches(file, { sequenceLength, ...optimiser, seed });
  const last: number[] = [];
  try {
    const result = await train(
      {
        network,
        trainingStep,
        batches,
        optimiser,
        totalSteps,
        checkpoint: { folder: join(workFolder, 'checkpoints'), steps: 1000, minutes: 5 },
        configuration: textSha256(
          JSON.stringify({ optimiser, totalSteps, sequenceLength, seed, configuration, data: batches.fingerprint }),
        ),
      },
      {
        stopRequested: () => context.stopRequested(),
        onStep: ({ step, values, resumedAt }) => {
          if (step > totalSteps * 0.9) last.push(values.loss!);
          context.emit({ type: 'metrics', step, values });
          context.emit({ type: 'progress', done: step, total: totalSteps, unit: 'steps', resumed: resumedAt });
        },
        onCheckpoint: () => undefined,
        onWarning: (text) => context.emit({ type: 'log', level: 'warning', text }),
      },
    );
    if (result.outcome !== 'done') throw new JobStopped(result.outcome, result.step);
  } finally {
    await batches.close();
    await trainingStep.release();
    await network.release();
  }
  await saveModelFolder(folder, folder, configuration, parameters, { dtype: settings.dtype });
  return last.reduce((sum, loss) => sum + loss, 0) / Math.max(1, last.length);
}
