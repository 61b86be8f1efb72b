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
import { optimiserSettings } from '../../main/contract/recipe.ts';
import { readModelConfiguration } from '../../main/models/architectures/index.ts';
import { countParameters } from '../../main/models/parameters.ts';
import { makeBaseModel } from '../../main/pipeline/stages/make-base.ts';
import { corpusLines, drawDemo } from './make-data.ts';
import { license, modelCard } from './model-card.ts';

const seed = 20_254;
const steps = 700;
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

  const corpus = join(work, 'corpus.jsonl');
  writeFileSync(corpus, corpusLines(drawDemo().documents, Infinity));
  const totalSteps = Number(values.steps);
  const tokens = totalSteps * sequenceLength * batchSize;
  const started = performance.now();
  const loss = await makeBaseModel(
    {
      folder: teacher,
      workFolder: work,
      corpus,
      tokens,
      sequenceLength,
      optimiser: optimiserSettings.parse({
        learningRate: 3e-3,
        beta2: 0.99,
        weightDecay: 0.05,
        batchSize,
        microBatchTokens: sequenceLength * batchSize,
      }),
      seed,
      threads: Number(values.threads),
      dtype: 'BF16',
    },
    {
      stopRequested: () => null,
      emit: (event) => {
        if (event.type === 'metrics' && event.step % 25 === 0)
          process.stderr.write(
            `step ${event.step} of ${totalSteps}: loss ${event.values.loss!.toFixed(3)}, ${((performance.now() - started) / 1000).toFixed(0)} s\n`,
          );
      },
    },
  );
  const parameters = countParameters(await readModelConfiguration(teacher));
  writeFileSync(join(teacher, 'LICENSE'), license);
  writeFileSync(join(teacher, 'README.md'), modelCard({ parameters, steps: totalSteps, tokens, loss }));
}

if (import.meta.main) await main();
