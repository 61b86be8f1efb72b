/** Weights and what describes them: safetensors, shards, GGUF, config.json, training checkpoints. */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { openGguf } from '../../../main/formats/gguf/index.ts';
import { openCheckpoint, openSafetensors, type SafetensorsFile } from '../../../main/formats/safetensors/index.ts';
import { loadParameters, modelCompanions, modelConfiguration } from '../../../main/models/open-model.ts';
import { readAdapter } from '../../../main/models/adapter.ts';
import { mergeAdapter } from '../../../main/models/merge-adapter.ts';
import { ParameterBuffer, type ParameterSpecification } from '../../../main/models/parameters.ts';
import { inspectFile } from '../../../main/pipeline/export/inspect-file.ts';
import { inspectTeacher } from '../../../main/pipeline/inspect/inspect-teacher.ts';
import { restoreCheckpoint } from '../../../main/training/checkpoint.ts';
import type { FuzzTarget } from '../target.ts';
import { smallTokenizer } from './small-tokenizer.ts';

interface Stored {
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** A safetensors file, written by hand so that nothing under test has made it. */
export function safetensors(tensors: Record<string, Stored>, metadata: Record<string, string> = { format: 'pt' }) {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = offset;
    offset += data.length;
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const json = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ data }) => data)]);
}

const floats = (...shape: number[]): Stored => {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  return { dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
};
const halves = (dtype: 'F16' | 'BF16', ...shape: number[]): Stored => ({
  ...floats(...shape.slice(0, -1), shape.at(-1)! / 2),
  dtype,
  shape,
});

async function readAll(file: SafetensorsFile): Promise<void> {
  try {
    for (const [name, { dtype }] of file.tensors)
      if (['F16', 'BF16', 'F32', 'F64'].includes(dtype)) await file.readFloat32(name);
      else await file.readBytes(name);
  } finally {
    await file.close();
  }
}

const singleFile: FuzzTarget = {
  name: 'safetensors',
  samples: () => [
    {
      files: {
        'model.safetensors': safetensors({
          a: floats(3, 4),
          'b.weight': halves('BF16', 4, 4),
          c: halves('F16', 2, 8),
          d: { dtype: 'I64', shape: [2], data: new Uint8Array(16) },
          e: { dtype: 'U8', shape: [0, 7], data: new Uint8Array() },
        }),
      },
      damaged: 'model.safetensors',
      as: 'bytes',
      focus: 420,
    },
  ],
  consume: async (folder, file) => readAll(await openSafetensors(path.join(folder, file))),
};

const shard = (name: string) => safetensors({ [name]: floats(2, 2) });
const shards: FuzzTarget = {
  name: 'safetensors-index',
  samples: () => [
    {
      files: {
        'model/model.safetensors.index.json': JSON.stringify({
          metadata: { total_size: 48 },
          weight_map: { a: 'one.safetensors', b: 'two.safetensors', c: 'three.safetensors' },
        }),
        'model/one.safetensors': shard('a'),
        'model/two.safetensors': shard('b'),
        'model/three.safetensors': shard('c'),
      },
      damaged: 'model/model.safetensors.index.json',
      as: 'json',
      words: [
        '../../0/model/one.safetensors',
        '../outside.safetensors',
        '/etc/hostname',
        'one.safetensors/../two.safetensors',
      ],
    },
  ],
  async consume(folder) {
    const checkpoint = await openCheckpoint(path.join(folder, 'model'));
    try {
      for (const name of checkpoint.names()) await checkpoint.readFloat32(name);
    } finally {
      await checkpoint.close();
    }
  },
};

const gguf: FuzzTarget = {
  name: 'gguf',
  samples: async () =>
    Promise.all(
      ['reference.gguf', 'types.gguf'].map(async (name) => ({
        files: {
          'model.gguf': await readFile(path.join(import.meta.dirname, '../../../main/formats/gguf/golden', name)),
        },
        damaged: 'model.gguf',
        as: 'bytes' as const,
        focus: 1400,
      })),
    ),
  async consume(folder, name) {
    const file = await openGguf(path.join(folder, name));
    try {
      for (const [tensor, { bytes }] of file.tensors) if (bytes !== null) await file.readFloat32(tensor);
    } finally {
      await file.close();
    }
    await inspectFile(path.join(folder, name));
  },
};

/** A teacher in one file: metadata becomes configuration and tokenizer, tensors become parameters. */
const ggufTeacher: FuzzTarget = {
  name: 'gguf-teacher',
  samples: async () => [
    {
      files: {
        'model.gguf': await readFile(path.join(import.meta.dirname, '../../../main/models/golden/teacher.gguf')),
      },
      damaged: 'model.gguf',
      as: 'bytes',
      focus: 12_000,
    },
  ],
  async consume(folder, name) {
    const file = path.join(folder, name);
    await inspectTeacher(file);
    const configuration = await modelConfiguration(file);
    await loadParameters(file, configuration);
    const companions = await modelCompanions(file);
    for (const companion of companions.names) await companions.bytes(companion);
  },
};

const tinyQwen3 = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  vocab_size: 262,
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 4,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  rope_scaling: null,
  tie_word_embeddings: true,
  attention_bias: false,
  hidden_act: 'silu',
};
const tinyLlama3 = {
  ...tinyQwen3,
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  rope_scaling: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  },
};
const tinyGemma3 = {
  ...tinyQwen3,
  architectures: ['Gemma3ForCausalLM'],
  model_type: 'gemma3_text',
  hidden_act: null,
  hidden_activation: 'gelu_pytorch_tanh',
  sliding_window: 8,
  layer_types: ['sliding_attention'],
  query_pre_attn_scalar: 4,
  rope_local_base_freq: 1e4,
  partial_rotary_factor: 1,
  no_rope_layers: [1],
  logits_scaling: 2,
};
const layer = 'model.layers.0.';
const tinyWeights = safetensors({
  'model.embed_tokens.weight': floats(262, 8),
  'model.norm.weight': floats(8),
  [`${layer}input_layernorm.weight`]: floats(8),
  [`${layer}post_attention_layernorm.weight`]: floats(8),
  [`${layer}self_attn.q_proj.weight`]: floats(8, 8),
  [`${layer}self_attn.k_proj.weight`]: floats(4, 8),
  [`${layer}self_attn.v_proj.weight`]: floats(4, 8),
  [`${layer}self_attn.o_proj.weight`]: floats(8, 8),
  [`${layer}self_attn.q_norm.weight`]: floats(4),
  [`${layer}self_attn.k_norm.weight`]: floats(4),
  [`${layer}mlp.gate_proj.weight`]: floats(16, 8),
  [`${layer}mlp.up_proj.weight`]: floats(16, 8),
  [`${layer}mlp.down_proj.weight`]: floats(8, 16),
});

/** What a student's folder says besides. */
const tinyStudent = {
  ...tinyQwen3,
  tritsmith: {
    ternary: true,
    subln: 'none',
    qkvBias: false,
    quantisation: { weights: { scale: 'absmedian', group: 64, sparsity: '2:4' } },
  },
};

const config: FuzzTarget = {
  name: 'config.json',
  samples: () =>
    [tinyQwen3, tinyLlama3, tinyGemma3, tinyStudent].map((content) => ({
      files: {
        'config.json': JSON.stringify(content),
        'model.safetensors': tinyWeights,
        'tokenizer.json': JSON.stringify(smallTokenizer()),
      },
      damaged: 'config.json',
      as: 'json' as const,
      words: [
        ...['llama', 'qwen2', 'qwen3', 'gemma3_text', 'gemma3', 'mistral', 'smollm3', 'phi3', 'granite', 'olmo2'],
        ...['gelu', 'silu', 'linear', 'longrope', 'yarn', 'default', 'full_attention', 'chunked_attention'],
        ...[
          'quantization_config',
          'text_config',
          'quant_method',
          'fp8',
          'gptq',
          'LlamaModel',
          'LlamaForSequenceClassification',
        ],
        ...['_name_or_path', 'acme/base', 'auto_map'],
        ...['tritsmith', 'quantisation', 'absmedian', 'learned', 'row', '2:4', 'all'],
      ],
    })),
  async consume(folder) {
    await inspectTeacher(folder);
  },
};

/** Merged where that is possible: an adapter of the tiny model's up-projection. */
const adapter: FuzzTarget = {
  name: 'adapter',
  samples() {
    const up = 'base_model.model.model.layers.0.mlp.up_proj';
    const weights = safetensors({
      [`${up}.lora_A.weight`]: floats(2, 8),
      [`${up}.lora_B.weight`]: floats(16, 2),
      [`${up}.lora_magnitude_vector`]: floats(16),
      'base_model.model.model.norm.weight': floats(8),
    });
    const settings = {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: 'acme/base',
      r: 2,
      lora_alpha: 4,
      alpha_pattern: { 'mlp.up_proj': 8 },
      use_rslora: false,
      init_lora_weights: true,
    };
    const files = {
      'base/config.json': JSON.stringify(tinyQwen3),
      'base/model.safetensors': tinyWeights,
      'adapter/adapter_config.json': JSON.stringify(settings),
      'adapter/adapter_model.safetensors': weights,
    };
    return [
      {
        files,
        damaged: 'adapter/adapter_config.json',
        as: 'json',
        words: ['IA3', 'SEQ_CLS', 'pissa', '(a+)+$', '^model', 'layer_replication', 'use_dora'],
      },
      { files, damaged: 'adapter/adapter_model.safetensors', as: 'bytes', focus: 500 },
    ];
  },
  async consume(folder) {
    const found = await readAdapter(path.join(folder, 'adapter'));
    const target = path.join(folder, 'merged');
    await rm(target, { recursive: true, force: true });
    if (found !== null) await mergeAdapter(found, path.join(folder, 'base'), target);
  },
};

const parameter = (name: string, size: number): ParameterSpecification =>
  ({ name, local: name, shape: [size], size }) as unknown as ParameterSpecification;

const checkpoint: FuzzTarget = {
  name: 'checkpoint',
  samples() {
    const kinds = ['parameters', 'firstMoment', 'secondMoment'];
    const bytes = safetensors(
      Object.fromEntries(
        kinds.flatMap(
          (kind) =>
            [
              [`${kind}.a`, floats(4)],
              [`${kind}.b`, floats(6)],
            ] as const,
        ),
      ),
      { step: '7' },
    );
    const manifest = JSON.stringify({
      step: 7,
      file: 'step-000000007.safetensors',
      sha256: createHash('sha256').update(bytes).digest('hex'),
      state: { gamma: 1, bestScore: null, configuration: 'this run' },
    });
    const files = { 'step-000000007.json': manifest, 'step-000000007.safetensors': bytes };
    return [
      { files, damaged: 'step-000000007.json', as: 'json', words: ['../../0/step-000000007.safetensors', 'this run'] },
      { files, damaged: 'step-000000007.safetensors', as: 'bytes', focus: 700 },
    ];
  },
  async consume(folder) {
    const buffer = () => new ParameterBuffer([parameter('a', 4), parameter('b', 6)]);
    const buffers = { parameters: buffer(), firstMoment: buffer(), secondMoment: buffer() };
    await restoreCheckpoint(folder, buffers, 'this run');
  },
};

export const weightTargets = [singleFile, shards, gguf, ggufTeacher, config, adapter, checkpoint];
