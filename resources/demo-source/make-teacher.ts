/**
 * Makes the demo's teacher: a base model of about one million parameters, pre-trained with this repository's own trainer on the
 * demo's corpus. The pipeline then fine-tunes it on the task, as it would any other base model.
 *
 *     node resources/demo-source/make-teacher.ts [<folder, default resources/demo>] [--work <folder, default .cache/demo-teacher>]
 *         [--steps N] [--threads N]
 *
 * Run make-data.ts first. A run that was stopped goes on from its last checkpoint in the work folder. On two cores it takes about
 * ten minutes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { recipeSchema } from '../../main/contract/recipe.ts';
import { floatToBf16 } from '../../main/formats/half-precision.ts';
import { writeSafetensors } from '../../main/formats/safetensors/index.ts';
import { loadTokenizer } from '../../main/formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../main/models/configuration.ts';
import { readModelConfiguration } from '../../main/models/architectures/index.ts';
import { countParameters, ParameterBuffer, parameterSpecifications } from '../../main/models/parameters.ts';
import { corpusBatches, tokeniseCorpus } from '../../main/pipeline/corpus-tokens.ts';
import { digest } from '../../main/pipeline/experiment-folder.ts';
import { trainStage } from '../../main/pipeline/stage-training.ts';
import { Random } from '../../main/training/random.ts';
import { drawDemo } from './make-data.ts';
import { license, modelCard } from './model-card.ts';

const seed = 20_254;
const steps = 800;
const sequenceLength = 128;
const batchSize = 32;

const huggingFaceConfig = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  vocab_size: 1_536,
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  hidden_act: 'silu',
  max_position_embeddings: 256,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  attention_bias: false,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 3,
  torch_dtype: 'bfloat16',
};

/** Normal weights of deviation 0.02, those that write to the residual stream smaller by the root of twice the layers (GPT-2's rule); norms 1. */
function initialise(configuration: ModelConfiguration): ParameterBuffer {
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  const random = new Random(seed);
  for (const { name, shape, local } of parameters.specifications) {
    const values = parameters.view(name);
    if (shape.length === 1) values.fill(1);
    else {
      const deviation = 0.02 / (local === 'o' || local === 'down' ? Math.sqrt(2 * configuration.layers) : 1);
      for (let at = 0; at < values.length; at++) values[at] = deviation * random.normal();
    }
  }
  return parameters;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      work: { type: 'string', default: join('.cache', 'demo-teacher') },
      steps: { type: 'string', default: String(steps) },
      threads: { type: 'string', default: '0' },
    },
  });
  const demo = positionals[0] ?? join(import.meta.dirname, '..', 'demo');
  const teacher = join(demo, 'teacher');
  const work = values.work;
  mkdirSync(work, { recursive: true });
  writeFileSync(join(teacher, 'config.json'), `${JSON.stringify(huggingFaceConfig, null, 2)}\n`);
  rmSync(join(teacher, 'model.safetensors'), { force: true });

  const corpus = join(work, 'corpus.txt');
  writeFileSync(corpus, `${drawDemo().documents.join('\n')}\n`);
  const configuration = await readModelConfiguration(teacher);
  const tokenizer = await loadTokenizer(teacher, { vocabSize: configuration.vocabSize });
  const totalSteps = Number(values.steps);
  const tokens = totalSteps * sequenceLength * batchSize;
  const recipe = recipeSchema.parse({
    name: 'base of the demo teacher',
    seed,
    teacher,
    task: {
      name: 'none',
      kind: 'generation',
      train: corpus,
      textColumns: ['text'],
      labelColumn: 'text',
    },
    finetune: null,
    refine: {},
    pretrain: {
      corpus,
      tokens,
      sequenceLength,
      optimiser: {
        learningRate: 3e-3,
        beta2: 0.99,
        weightDecay: 0.05,
        batchSize,
        microBatchTokens: sequenceLength * batchSize,
      },
    },
    distil: { optimiser: { learningRate: 1 } },
    threads: Number(values.threads),
    checkpoint: { steps: 200, minutes: 5 },
  });
  const pretrain = recipe.pretrain!;
  const file = await tokeniseCorpus(
    corpus,
    tokenizer,
    join(work, 'corpus.tokens'),
    tokens,
    digest(JSON.stringify([tokens, tokenizer.sha256])),
    () => Promise.resolve(),
  );
  const parameters = initialise(configuration);
  process.stderr.write(
    `${countParameters(configuration).total} parameters, ${file.tokens} tokens read ${(tokens / file.tokens).toFixed(1)} times\n`,
  );
  const batches = await corpusBatches(file, { ...pretrain.optimiser, sequenceLength, seed });
  let loss = NaN;
  const started = performance.now();
  await trainStage(
    {
      job: 'pretrain',
      folder: work,
      recipe,
      configuration,
      parameters,
      distillation: null,
      batches,
      optimiser: pretrain.optimiser,
      totalSteps,
    },
    {
      stopRequested: () => null,
      emit: (event) => {
        if (event.type !== 'metrics') return;
        const now = event.values.loss!;
        loss = Number.isNaN(loss) ? now : 0.95 * loss + 0.05 * now;
        if (event.step % 25 === 0 || event.step === totalSteps)
          process.stderr.write(
            `step ${event.step} of ${totalSteps}: loss ${loss.toFixed(3)}, ${((performance.now() - started) / 1000).toFixed(0)} s\n`,
          );
      },
    },
  );
  await batches.close();
  await writeSafetensors(
    join(teacher, 'model.safetensors'),
    parameters.specifications.map(({ name, shape }) => ({
      name,
      dtype: 'BF16' as const,
      shape,
      data: () => Uint16Array.from(parameters.view(name), floatToBf16),
    })),
    { format: 'pt' },
  );
  writeFileSync(join(teacher, 'LICENSE'), license);
  writeFileSync(
    join(teacher, 'README.md'),
    modelCard({
      parameters: countParameters(configuration),
      steps: totalSteps,
      tokens,
      corpusTokens: file.tokens,
      loss,
    }),
  );
}

if (import.meta.main) await main();
