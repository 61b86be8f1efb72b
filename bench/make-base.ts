/**
 * `npm run bench -- make-base <folder> [--shape 3m|10m] [--architecture llama|qwen3] [--corpus <file or folder>] [--tokenizer <folder>] [--minutes N]
 * [--seed N] [--threads N]`: pre-trains a small base model with this repository's own trainer, for machines on which no larger pretrained one can be had.
 * The time budget becomes a number of tokens after a short measurement; Ctrl-C pauses, the same command goes on.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { optimiserSettings } from '../main/contract/recipe.ts';
import { sharedData } from '../main/testing/shared-data.ts';
import { loadTokenizer } from '../main/formats/tokenizers/index.ts';
import { readModelConfiguration } from '../main/models/architectures/index.ts';
import { countParameters } from '../main/models/parameters.ts';
import { JobStopped } from '../main/pipeline/job.ts';
import { makeBaseModel } from '../main/pipeline/stages/make-base.ts';
import { learningRateFor } from '../main/pipeline/inspect/presets.ts';

const shapes = {
  '3m': {
    hidden_size: 256,
    num_hidden_layers: 4,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    intermediate_size: 768,
  },
  '10m': {
    hidden_size: 512,
    num_hidden_layers: 4,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    intermediate_size: 1024,
  },
} as const;

const architectures = {
  llama: { architectures: ['LlamaForCausalLM'], model_type: 'llama' },
  qwen3: { architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' },
} as const;

const sequenceLength = 256;
const batchSize = 16;
/** Optimiser steps that measure the speed before the budget becomes a number of tokens. */
const measuredSteps = 12;

const options = {
  shape: { type: 'string', default: '3m' },
  architecture: { type: 'string', default: 'llama' },
  corpus: { type: 'string' },
  tokenizer: { type: 'string' },
  minutes: { type: 'string', default: '30' },
  seed: { type: 'string', default: '1' },
  threads: { type: 'string', default: '0' },
} as const;

function pick<T extends object>(from: T, name: string, what: string): T[keyof T] {
  if (!Object.hasOwn(from, name)) throw new Error(`--${what} is one of ${Object.keys(from).join(', ')}.`);
  return from[name as keyof T];
}

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [out] = positionals;
  if (out === undefined) throw new Error('Say where the model goes: npm run bench -- make-base <folder>.');
  const folder = resolve(out);
  const work = join(folder, 'make-base');
  const tokenizerFolder = resolve(values.tokenizer ?? sharedData('models', 'story-656k'));
  const corpus = resolve(values.corpus ?? sharedData('corpus', 'tinystories', 'tinystories_lower_first85pct.txt'));
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  if (existsSync(join(folder, 'model.safetensors'))) {
    say(`${folder} holds a finished model.`);
    return;
  }
  mkdirSync(work, { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json'])
    if (existsSync(join(tokenizerFolder, name))) copyFileSync(join(tokenizerFolder, name), join(folder, name));
  const tokenizer = await loadTokenizer(tokenizerFolder);
  const shape = pick(shapes, values.shape, 'shape');
  const config = {
    ...pick(architectures, values.architecture, 'architecture'),
    ...shape,
    vocab_size: tokenizer.vocabSize,
    head_dim: shape.hidden_size / shape.num_attention_heads,
    hidden_act: 'silu',
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    attention_bias: false,
    eos_token_id: tokenizer.eosId,
    torch_dtype: 'float32',
  };
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  const { total } = countParameters(await readModelConfiguration(folder));
  const optimiser = optimiserSettings.parse({
    learningRate: learningRateFor(total),
    beta2: 0.99,
    weightDecay: 0.05,
    schedule: 'cosine',
    batchSize,
  });
  const stepTokens = sequenceLength * batchSize;
  let stopping = false;
  process.on('SIGINT', () => (stopping = true));
  const training = (tokens: number, workFolder: string, onStep: (step: number, loss: number) => void) =>
    makeBaseModel(
      {
        folder,
        workFolder,
        corpus,
        tokens,
        sequenceLength,
        optimiser,
        seed: Number(values.seed),
        threads: Number(values.threads),
        dtype: 'F32',
      },
      {
        stopRequested: () => (stopping ? 'pause' : null),
        emit: (event) => {
          if (event.type === 'metrics') onStep(event.step, event.values.loss!);
          else if (event.type === 'log') say(event.text);
        },
      },
    );

  const planFile = join(work, 'plan.json');
  if (!existsSync(planFile)) {
    const times: number[] = [];
    await training(measuredSteps * stepTokens, join(work, 'measure'), () => times.push(performance.now()));
    rmSync(join(work, 'measure'), { recursive: true });
    rmSync(join(folder, 'model.safetensors'));
    const seconds = (times.at(-1)! - times[1]!) / 1000 / (times.length - 2);
    const steps = Math.max(measuredSteps, Math.floor((Number(values.minutes) * 60) / seconds));
    writeFileSync(planFile, JSON.stringify({ tokens: steps * stepTokens }));
    say(`${seconds.toFixed(2)} s a step: ${steps} steps of ${stepTokens} tokens fit into ${values.minutes} minutes.`);
  }
  const { tokens } = JSON.parse(readFileSync(planFile, 'utf8')) as { tokens: number };
  const steps = tokens / stepTokens;
  try {
    const loss = await training(tokens, work, (step, current) => {
      if (step % Math.ceil(steps / 20) === 0) say(`step ${step} of ${steps}: ${current.toFixed(3)} nats per token`);
    });
    rmSync(work, { recursive: true });
    writeFileSync(
      join(folder, 'README.md'),
      `# A small base model\n\nMade by \`npm run bench -- make-base\`: ${(total / 1e6).toFixed(2)} M parameters, ${(tokens / 1e6).toFixed(1)} M tokens, last training loss ${loss.toFixed(3)} nats per token.\n`,
    );
    say(`${folder}: ${(total / 1e6).toFixed(2)} M parameters, last loss ${loss.toFixed(3)} nats per token.`);
  } catch (error) {
    if (!(error instanceof JobStopped)) throw error;
    say(`Paused at step ${error.step} of ${steps}; the same command goes on.`);
  }
}
