/**
 * How models lie in GGUF files (docs/formats.md, 1 and 3): tensor names, keys and the order of rotary rows, one entry for each
 * `general.architecture`. Writer, read-back and reader follow this table; native/runtime/model.cc has its own, an independent one.
 */
import { activationsOf } from '../../contract/quantisation.ts';
import { hasOwnActivations } from '../../contract/quantisation-in-files.ts';
import { hadamardBlock, type ModelConfiguration, rotarySize } from '../configuration.ts';

export interface GgufArchitecture {
  /** `general.architecture`, and the prefix of its keys. */
  readonly name: string;
  /** Rotated pairs of a head: (2i, 2i + 1), for which rows of q and k are regrouped, or (i, i + R/2) as on Hugging Face. */
  readonly rotaryPairs: 'adjacent' | 'halves';
  /** Names of the SubLN tensors: `attn_sub_norm` and `ffn_sub_norm`, `*_norm_in` beside each projection, or none. */
  readonly subln: 'sub-norm' | 'norm-in' | null;
  /** bitnet.cpp has this architecture with its SubLN (`norm-in`: its newest branch). */
  readonly inBitnetCpp: boolean;
  /** Whether llama.cpp reads a window; it reads files of other architectures as if they had none. */
  readonly windows: boolean;
  /** Whether llama.cpp multiplies by the `*.scale` tensors beside all of its matrices; it loads them for every architecture. */
  readonly appliesScales: boolean;
  /** Names of tensors that differ from `tensorNames`. */
  readonly names?: Readonly<Record<string, string>>;
}

/** Names of a layer's tensors without `blk.N.` and ending, by the local name of the parameter. */
const tensorNames: Readonly<Record<string, string>> = {
  embedding: 'token_embd',
  finalNorm: 'output_norm',
  head: 'output',
  attentionNorm: 'attn_norm',
  attentionPostNorm: 'post_attention_norm',
  ffnNorm: 'ffn_norm',
  ffnPostNorm: 'post_ffw_norm',
  'q.norm': 'attn_q_norm',
  'k.norm': 'attn_k_norm',
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  o: 'attn_output',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
};

const subNorms: Readonly<Record<string, string>> = { 'o.subln': 'attn_sub_norm', 'down.subln': 'ffn_sub_norm' };

const plain = { subln: null, inBitnetCpp: true, windows: false, appliesScales: true } as const;
const normIn = { subln: 'norm-in', inBitnetCpp: false, windows: false, appliesScales: false } as const;

export const ggufArchitectures = {
  llama: { ...plain, name: 'llama', rotaryPairs: 'adjacent' },
  bitnet: { ...plain, name: 'bitnet', rotaryPairs: 'halves', subln: 'sub-norm' },
  /** Squared ReLU: as BitNet b1.58 2B4T was published, and as earlier converters named it. */
  'bitnet-b1.58': { ...plain, name: 'bitnet-b1.58', rotaryPairs: 'halves', subln: 'sub-norm' },
  'bitnet-25': { ...plain, name: 'bitnet-25', rotaryPairs: 'halves', subln: 'sub-norm' },
  qwen2: { ...plain, name: 'qwen2', rotaryPairs: 'halves', appliesScales: false },
  qwen3: { ...normIn, name: 'qwen3', rotaryPairs: 'halves', inBitnetCpp: true, appliesScales: true },
  gemma3: { ...normIn, name: 'gemma3', rotaryPairs: 'halves', inBitnetCpp: true, windows: true },
  smollm3: { ...normIn, name: 'smollm3', rotaryPairs: 'adjacent' },
  granite: { ...normIn, name: 'granite', rotaryPairs: 'adjacent' },
  olmo2: { ...normIn, name: 'olmo2', rotaryPairs: 'halves' },
  phi3: { ...normIn, name: 'phi3', rotaryPairs: 'halves' },
} as const satisfies Readonly<Record<string, GgufArchitecture>>;

/**
 * Before the name of an architecture whose inputs are turned or have 4 bits, because what other programs know under the bare name computes something else; and
 * before that of a file with our own type of tensors, so that they say why they refuse it.
 */
export const ownPrefix = 'tritsmith-';

/** The entry of a file's `general.architecture`; null for one that none of our families writes. */
export function ggufArchitecture(name: string): GgufArchitecture | null {
  return Object.hasOwn(ggufArchitectures, name) ? ggufArchitectures[name as keyof typeof ggufArchitectures] : null;
}

/** Name of the tensor that holds a parameter, by its local name and layer (models/parameters.ts). */
export function ggufTensorName(architecture: GgufArchitecture, local: string, layer: number | null): string {
  const block = layer === null ? '' : `blk.${layer}.`;
  const name = (part: string): string => architecture.names?.[part] ?? tensorNames[part]!;
  if (local.endsWith('.bias')) return `${block}${name(local.slice(0, -'.bias'.length))}.bias`;
  if (!local.endsWith('.subln')) return `${block}${name(local)}.weight`;
  const inside =
    architecture.subln === 'sub-norm' ? subNorms[local]! : `${name(local.slice(0, -'.subln'.length))}_norm_in`;
  return `${block}${inside}.weight`;
}

/** Heads of a tensor whose rows the file regroups from half-split to interleaved rotary order; null: they stay as they are. */
export function regroupedHeads(
  architecture: GgufArchitecture,
  { heads, kvHeads }: ModelConfiguration,
  local: string,
): number | null {
  if (architecture.rotaryPairs !== 'adjacent') return null;
  if (local === 'q' || local === 'q.bias') return heads;
  return local === 'k' || local === 'k.bias' ? kvHeads : null;
}

/** Keys of the model's shape, without the architecture's prefix. */
export interface GgufKeys {
  readonly integers: Readonly<Record<string, number>>;
  readonly floats: Readonly<Record<string, number>>;
  readonly strings: Readonly<Record<string, string>>;
}

/** Keys that are written where they say something; a file without them is a plain decoder's. */
function familyKeys(configuration: ModelConfiguration): GgufKeys {
  const { activation, layerKinds, ropeScaling, embeddingScale, attentionScale, residualScale, logitScale } =
    configuration;
  const window = layerKinds.find((kind) => kind.window !== null)?.window ?? null;
  const floats: Record<string, number> = {};
  if (ropeScaling?.kind === 'linear') floats['rope.scaling.factor'] = ropeScaling.factor;
  if (ropeScaling?.kind === 'factors' && ropeScaling.magnitude !== 1)
    floats['rope.scaling.attn_factor'] = ropeScaling.magnitude;
  if (configuration.localRopeTheta !== null) floats['rope.freq_base_swa'] = configuration.localRopeTheta;
  if (embeddingScale !== 1) floats.embedding_scale = embeddingScale;
  if (attentionScale !== null) floats['attention.scale'] = attentionScale;
  if (residualScale !== 1) floats.residual_scale = residualScale;
  if (logitScale !== 1) floats.logit_scale = 1 / logitScale;
  const { quantisation } = configuration;
  const activationKeys = {
    'activation.bits': activationsOf(quantisation).bits,
    'hadamard.attn_output': hadamardBlock(configuration, 'o'),
    'hadamard.ffn_down': hadamardBlock(configuration, 'down'),
  };
  return {
    integers: {
      ...(hasOwnActivations(quantisation) ? activationKeys : {}),
      ...(window === null ? {} : { 'attention.sliding_window': window }),
      ...(window === null || layerKinds.length === 1 ? {} : { 'attention.sliding_window_pattern': layerKinds.length }),
    },
    floats,
    strings: {
      ...(ropeScaling?.kind === 'linear' ? { 'rope.scaling.type': 'linear' } : {}),
      // Newer trees of bitnet.cpp take SiLU unless the file says otherwise.
      ...(activation === 'relu-squared' ? { hidden_activation: 'relu2' } : {}),
    },
  };
}

/**
 * Whether keys can say which layers have which kind: all one; all but the last of each period with one window; or every fourth without a rotary
 * embedding in a `smollm3` file, where the number is fixed.
 */
export function keysHoldKinds({ name }: GgufArchitecture, { layerKinds }: ModelConfiguration): boolean {
  const [first] = layerKinds;
  const last = layerKinds.at(-1)!;
  const before = layerKinds.slice(0, -1);
  if (!before.every(({ window, rope }) => window === first!.window && rope === first!.rope)) return false;
  if (name === 'smollm3')
    return layerKinds.length === 4 && first!.rope === 'global' && last.rope === 'none' && first!.window === null;
  if (layerKinds.some(({ rope }) => rope === 'none')) return false;
  if (layerKinds.length === 1) return first!.rope === 'global' || first!.window !== null;
  return first!.window !== null && last.window === null && last.rope === 'global';
}

export function ggufKeys(configuration: ModelConfiguration): GgufKeys {
  const { headSize } = configuration;
  const own = familyKeys(configuration);
  return {
    integers: {
      context_length: configuration.maxPositions,
      embedding_length: configuration.hiddenSize,
      block_count: configuration.layers,
      feed_forward_length: configuration.ffnSize,
      'attention.head_count': configuration.heads,
      'attention.head_count_kv': configuration.kvHeads,
      'attention.key_length': headSize,
      'attention.value_length': headSize,
      'rope.dimension_count': rotarySize(configuration),
      vocab_size: configuration.vocabSize,
      ...own.integers,
    },
    floats: {
      'attention.layer_norm_rms_epsilon': configuration.rmsNormEpsilon,
      'rope.freq_base': configuration.ropeTheta,
      ...own.floats,
    },
    strings: own.strings,
  };
}

/** The keys of a file that is read, by name without the prefix of the architecture. */
export interface GgufKeyReader {
  /** `general.architecture`. */
  readonly architecture: string;
  /** @throws TritsmithError `damaged` where the file lacks it and there is no other value, or where it is no number */
  number(key: string, otherwise?: number): number;
  /** Null where the file lacks it. */
  optional(key: string): number | null;
  text(key: string): string | null;
  hasTensor(name: string): boolean;
}
