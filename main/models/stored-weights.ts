/** Where a model's parameters stand in the weights of its folder, and what else stands there. */
import { TritsmithError } from '../contract/errors.ts';
import type { Told } from '../contract/messages/sentences.ts';
import { tell } from '../contract/messages/told.ts';
import { type JsonObject, ownValue, isJsonObject } from '../basics/bounded-json.ts';
import { type Checkpoint, openCheckpoint } from '../formats/safetensors/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import { quantised } from './declared-model.ts';
import { embeddingName, parameterSpecifications } from './parameters.ts';

/** Of every trunk, and of nothing beside it. */
const inEveryTrunk = 'layers.0.mlp.down_proj.weight';
const ourTrunk = 'model.';
const headName = 'lm_head.weight';
const bareTrunk = /^(?:layers|embed_tokens|norm)\./;
const floats: readonly string[] = ['BF16', 'F16', 'F32', 'F64'];
/** Of tables of positions and masks, which old versions stored. */
const indices: readonly string[] = ['I64', 'BOOL'];
/** What quantisers store in place of a weight or beside it, and whose it is. */
const quantisedTensors: readonly (readonly [RegExp, string])[] = [
  [/\.(?:qweight|qzeros|g_idx)$/, 'GPTQ or AWQ'],
  [/\.weight\.(?:absmax|quant_map|nested_absmax|quant_state\.[\w.]+)$/, 'bitsandbytes, 4-bit'],
  [/\.SCB$/, 'bitsandbytes, 8-bit'],
  [/\.(?:weight_packed|weight_shape)$/, 'compressed-tensors'],
  [/\.weight_scale(?:_inv|_2)?$/, 'FP8 or int8 with scales'],
  [/\.(?:biases|scales)$/, 'MLX'],
];
/** Tables that old versions stored and everybody computes. */
const computed = /\.(?:rotary_emb\.inv_freq|self_attn\.bias|self_attn\.masked_bias)$/;

/** Weights of a model folder under the names that `ParameterSpecification` has, whatever the file calls its trunk. */
export interface ModelWeights extends Checkpoint {
  /** Names that belong to the trunk, all of which begin with `model.`. */
  readonly trunk: ReadonlySet<string>;
}

/** Opens the weights of a folder. Close them when done. @throws TritsmithError as `openCheckpoint` */
export async function openModelWeights(folder: string): Promise<ModelWeights> {
  const checkpoint = await openCheckpoint(folder);
  const prefix = trunkPrefix(checkpoint);
  const head = headBeside(prefix);
  /** Name in the file by our name. */
  const places = new Map<string, string>();
  const trunk = new Set<string>();
  for (const name of checkpoint.names()) {
    const inTrunk = prefix === '' ? bareTrunk.test(name) : name.startsWith(prefix);
    const ours = inTrunk ? ourTrunk + name.slice(prefix.length) : name === head ? headName : name;
    if (inTrunk) trunk.add(ours);
    // What stands beside the trunk may bear one of its names, and gives way.
    if (inTrunk || !places.has(ours)) places.set(ours, name);
  }
  const place = (name: string): string => places.get(name) ?? name;
  const ours = new Map([...places].map(([name, stored]) => [stored, name]));
  return {
    trunk,
    files: checkpoint.files,
    metadata: checkpoint.metadata,
    names: () => [...places.keys()].sort(),
    has: (name) => checkpoint.has(place(name)),
    aliasOf(name) {
      const target = checkpoint.aliasOf(place(name));
      return target === null ? null : (ours.get(target) ?? target);
    },
    shape: (name) => checkpoint.shape(place(name)),
    dtype: (name) => checkpoint.dtype(place(name)),
    readFloat32: (name, out) => checkpoint.readFloat32(place(name), out),
    readBytes: (name, begin, end) => checkpoint.readBytes(place(name), begin, end),
    sameValues: (one, other) => checkpoint.sameValues(place(one), place(other)),
    close: () => checkpoint.close(),
  };
}

/**
 * What stands before `layers.0` in these weights: `model.` mostly, nothing where a trunk was saved alone, `language_model.model.` and others where
 * the language model is part of something larger or was saved wrapped.
 */
function trunkPrefix(checkpoint: Checkpoint): string {
  const prefixes = checkpoint
    .names()
    .filter((name) => name === inEveryTrunk || name.endsWith(`.${inEveryTrunk}`))
    .map((name) => name.slice(0, -inEveryTrunk.length));
  if (prefixes.includes(ourTrunk)) return ourTrunk;
  return prefixes.find((prefix) => checkpoint.has(`${prefix}embed_tokens.weight`)) ?? prefixes[0] ?? ourTrunk;
}

/** The head of the trunk under `prefix`: `lm_head` beside `model`, whatever both stand in. */
const headBeside = (prefix: string): string =>
  prefix.replace(/(?:model\.language_model|language_model|model)\.$/, '') + headName;

/** Tensors of the trunk that the model has no place for, so that leaving them out would change what it computes. */
export function surplusIn({ trunk }: ModelWeights, configuration: ModelConfiguration): string[] {
  const known = new Set(
    parameterSpecifications(configuration).flatMap(({ name, stored }) => (stored ? [name, stored.name] : [name])),
  );
  return [...trunk].filter((name) => !known.has(name) && !computed.test(name)).sort();
}

/** Tensors that are not read: other heads, towers for images. */
export function besideTrunk(weights: ModelWeights): string[] {
  return weights
    .names()
    .filter((name) => !weights.trunk.has(name) && name !== headName && weights.aliasOf(name) === null);
}

/**
 * Refuses weights that are quantised, whatever config.json says of them.
 * @throws TritsmithError `unsupported`
 */
export function assertWhole(checkpoint: Checkpoint, original: string | null): void {
  for (const name of checkpoint.names()) {
    const [, tool] = quantisedTensors.find(([pattern]) => pattern.test(name)) ?? [];
    if (tool !== undefined) throw quantised(tool, original);
    const dtype = checkpoint.dtype(name);
    if (!floats.includes(dtype) && name.endsWith('proj.weight')) throw quantised(typeName(dtype), original);
  }
}

/** As `assertWhole`, from the types of all weights alone. @throws TritsmithError `unsupported` */
export function assertWholeTypes(types: readonly string[], original: string | null): void {
  const other = types.find((type) => !floats.includes(type) && !indices.includes(type));
  if (other !== undefined) throw quantised(typeName(other), original);
}

/** `F8_E4M3` as people call it. */
function typeName(dtype: string): string {
  return dtype.startsWith('F8') ? 'FP8' : dtype === 'I8' ? 'int8' : dtype;
}

export interface Tying {
  readonly tied: boolean;
  /** Where config.json and the weights do not say the same. */
  readonly finding: Told | null;
}

/**
 * Whether embedding and head are one matrix. The weights decide where they tell: a head of its own is kept although config.json ties (as
 * transformers 5 does; older versions drop it), and one that equals the embedding changes nothing.
 * @param settings config.json
 * @throws TritsmithError `unsupported` where config.json wants a head of its own and there is none
 */
export async function tyingOf(
  weights: ModelWeights,
  { tiedEmbeddings }: ModelConfiguration,
  settings: JsonObject,
): Promise<Tying> {
  const alias = weights.has(headName) && weights.aliasOf(headName) !== null;
  const ownHead = weights.has(headName) && !alias;
  if (tiedEmbeddings) {
    const differs = ownHead && weights.has(embeddingName) && !(await weights.sameValues(headName, embeddingName));
    return { tied: !differs, finding: differs ? tell('teacher.head-although-tied', { name: headName }) : null };
  }
  if (ownHead) return { tied: false, finding: null };
  if (alias) return { tied: true, finding: null };
  if (saysUntied(settings)) throw new TritsmithError('unsupported', 'model.no-head', { name: headName });
  return { tied: true, finding: tell('teacher.head-left-out') };
}

function saysUntied(settings: JsonObject): boolean {
  const inner = ownValue(settings, 'text_config');
  return [settings, inner].some((holder) => isJsonObject(holder) && ownValue(holder, 'tie_word_embeddings') === false);
}
