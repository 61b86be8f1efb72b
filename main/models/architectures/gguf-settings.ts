/** The settings that a config.json would have, from the keys of a GGUF file: so a family's settings are read, and refused, in one place. */
import { TritsmithError } from '../../contract/errors.ts';
import type { JsonObject } from '../../basics/bounded-json.ts';
import type { GgufFile } from '../../formats/gguf/index.ts';
import { inverseFrequencies } from '../rotary-tables.ts';
import type { GgufKeyReader } from './gguf.ts';
import { familyOfGguf, knownGgufArchitectures } from './index.ts';

/** The shortest decimal number that rounds to this float32: what the config.json said before it was converted. */
function shortest(value: number): number {
  for (let digits = 1; digits < 10; digits += 1) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return value;
}

function keysOf({ path, metadata, tensors }: GgufFile, prefix: string): GgufKeyReader {
  const optional = (key: string): number | null => {
    const entry = metadata.get(`${prefix}.${key}`);
    if (entry === undefined) return null;
    // Some files have a list with an entry for each layer.
    const value: unknown = Array.isArray(entry.value) ? entry.value[0] : entry.value;
    if (Array.isArray(entry.value) && entry.value.some((item) => item !== value))
      throw new TritsmithError('unsupported', 'gguf.uneven-layers', { path, key: `${prefix}.${key}` });
    if (typeof value !== 'number')
      throw new TritsmithError('damaged', 'gguf.key', { path, key: `${prefix}.${key}`, problem: 'no-number' });
    return entry.type === 'float32' ? shortest(value) : value;
  };
  return {
    architecture: prefix,
    optional,
    number(key, otherwise) {
      const value = optional(key) ?? otherwise;
      if (value === undefined)
        throw new TritsmithError('damaged', 'gguf.key', { path, key: `${prefix}.${key}`, problem: 'lacks' });
      return value;
    },
    text(key) {
      const value = metadata.get(`${prefix}.${key}`)?.value;
      return typeof value === 'string' ? value : null;
    },
    hasTensor: (name) => tensors.has(name),
  };
}

/**
 * Settings of the model in a GGUF file as the family's config.json has them; `parseConfiguration` reads them.
 * @throws TritsmithError `unsupported` (architecture, rotary scaling, a split file), `damaged` (a key that is lacking)
 */
export async function settingsOfGguf(file: GgufFile): Promise<JsonObject> {
  const { path, metadata, tensors } = file;
  const name = String(metadata.get('general.architecture')?.value ?? '');
  const family = familyOfGguf(name);
  if (family?.fromGguf == null)
    throw new TritsmithError('unsupported', 'gguf.architecture', {
      path,
      architecture: name,
      known: knownGgufArchitectures(),
    });
  const parts = Number(metadata.get('split.count')?.value ?? 1);
  if (parts > 1) throw new TritsmithError('unsupported', 'gguf.split', { path, parts });
  const embedding = tensors.get('token_embd.weight');
  if (embedding?.shape.length !== 2)
    throw new TritsmithError('not-found', 'tensor.absent', { path, name: 'token_embd.weight' });
  const keys = keysOf(file, name);
  const heads = keys.number('attention.head_count');
  const width = keys.number('embedding_length');
  const special = (kind: string): number | null => {
    const value = metadata.get(`tokenizer.ggml.${kind}_token_id`)?.value;
    return typeof value === 'number' ? value : null;
  };
  const headSize = keys.number('attention.key_length', width / heads);
  if (keys.number('attention.value_length', headSize) !== headSize)
    throw new TritsmithError('unsupported', 'gguf.setting', { path, key: `${name}.attention.value_length` });
  const own = family.fromGguf.settings(keys);
  // OLMo 3 calls itself olmo2; a window that nobody reads would change what the model computes.
  if (keys.optional('attention.sliding_window') !== null && own.sliding_window === undefined)
    throw new TritsmithError('unsupported', 'gguf.setting', { path, key: `${name}.attention.sliding_window` });
  return {
    model_type: family.modelType,
    architectures: [family.className],
    vocab_size: embedding.shape[0]!,
    hidden_size: width,
    intermediate_size: keys.number('feed_forward_length'),
    num_hidden_layers: keys.number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: keys.number('attention.head_count_kv', heads),
    head_dim: headSize,
    rms_norm_eps: keys.number('attention.layer_norm_rms_epsilon'),
    max_position_embeddings: keys.number('context_length'),
    tie_word_embeddings: !tensors.has('output.weight'),
    hidden_act: 'silu',
    rope_theta: keys.number('rope.freq_base', 10_000),
    bos_token_id: special('bos'),
    eos_token_id: special('eos'),
    ...(await ropeScaling(file, keys, headSize)),
    ...own,
  };
}

/** Of Llama 3: the file holds only what they make of each frequency. */
const llama3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

async function ropeScaling(file: GgufFile, keys: GgufKeyReader, headSize: number): Promise<JsonObject> {
  if (file.tensors.has('rope_factors_short.weight')) return longRope(file, keys);
  const kind = keys.text('rope.scaling.type');
  if (kind !== null && kind !== 'none')
    return { rope_scaling: { rope_type: kind, factor: keys.number('rope.scaling.factor', 1) } };
  if (!file.tensors.has('rope_freqs.weight')) return {};
  const stored = await file.readFloat32('rope_freqs.weight');
  const factor = shortest(stored.reduce((largest, value) => Math.max(largest, value), 0));
  const rotary = {
    headSize,
    rotaryFactor: 1,
    ropeTheta: keys.number('rope.freq_base', 10_000),
    localRopeTheta: null,
  };
  const plain = inverseFrequencies({ ...rotary, ropeScaling: null });
  const slowed = inverseFrequencies({
    ...rotary,
    ropeScaling: {
      kind: 'llama3',
      factor,
      lowFrequencyFactor: llama3.low_freq_factor,
      highFrequencyFactor: llama3.high_freq_factor,
      originalMaxPositions: llama3.original_max_position_embeddings,
    },
  });
  const same =
    stored.length === plain.length &&
    stored.every((value, index) => Math.abs((value * slowed[index]!) / plain[index]! - 1) < 1e-5);
  if (!same) throw new TritsmithError('unsupported', 'gguf.setting', { path: file.path, key: 'rope_freqs.weight' });
  return { rope_scaling: { rope_type: 'llama3', factor, ...llama3 } };
}

/** LongRoPE (Phi): the factors are tensors, the original length and the factor of cos and sin are keys. */
async function longRope(file: GgufFile, keys: GgufKeyReader): Promise<JsonObject> {
  const factors = async (name: string): Promise<number[]> =>
    file.tensors.has(name) ? Array.from(await file.readFloat32(name), shortest) : [];
  const original = keys.number('rope.scaling.original_context_length');
  const attention = keys.optional('rope.scaling.attn_factor');
  return {
    original_max_position_embeddings: original,
    rope_scaling: {
      rope_type: 'longrope',
      short_factor: await factors('rope_factors_short.weight'),
      long_factor: await factors('rope_factors_long.weight'),
      original_max_position_embeddings: original,
      ...(attention === null ? {} : { attention_factor: attention }),
    },
  };
}
