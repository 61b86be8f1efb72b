/** Where a model's parameters stand in the weights of its folder, and what else stands there. */
import { TritsmithError } from '../contract/errors.ts';
import type { Told } from '../contract/messages/sentences.ts';
import { tell } from '../contract/messages/told.ts';
import { type JsonObject, ownValue, isJsonObject } from '../basics/bounded-json.ts';
import type { Checkpoint } from '../formats/safetensors/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import { quantised } from './declared-model.ts';
import { embeddingName, parameterSpecifications, type ParameterSpecification } from './parameters.ts';

/** Of every trunk, and of nothing beside it. */
const inEveryTrunk = 'layers.0.mlp.down_proj.weight';
const ourTrunk = 'model.';
const untiedHead = 'lm_head.weight';
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

/**
 * What stands before `layers.0` in these weights: `model.` mostly, nothing where a trunk was saved alone, `language_model.model.` and others where
 * the language model is part of something larger or was saved wrapped.
 */
function trunkPrefix(checkpoint: Pick<Checkpoint, 'names' | 'has'>): string {
  const prefixes = checkpoint
    .names()
    .filter((name) => name === inEveryTrunk || name.endsWith(`.${inEveryTrunk}`))
    .map((name) => name.slice(0, -inEveryTrunk.length));
  if (prefixes.includes(ourTrunk)) return ourTrunk;
  return prefixes.find((prefix) => checkpoint.has(`${prefix}embed_tokens.weight`)) ?? prefixes[0] ?? ourTrunk;
}

/** The head of the trunk under `prefix`: `lm_head` beside `model`, whatever both stand in. */
const headBeside = (prefix: string): string =>
  prefix === '' ? untiedHead : prefix.replace(/(?:model|language_model)\.$/, '') + untiedHead;

export interface StoredWeights {
  /** Name in the file of a parameter (`ParameterSpecification.name`), whether it is there or not. */
  nameOf(parameter: Pick<ParameterSpecification, 'name'>): string;
  /** Where it would stand of its own; differs for the embedding of a tied model that stores the one matrix as the head. */
  ownNameOf(parameter: Pick<ParameterSpecification, 'name'>): string;
  /** The head's own matrix, where the file has one; null where it has none or names it as an alias of the embedding. */
  readonly head: string | null;
  /** Tensors of the trunk that the model has no place for, so that leaving them out would change what it computes. */
  surplus(configuration: ModelConfiguration): string[];
  /** Tensors outside of the trunk that are not read: other heads, towers for images. */
  beside(): string[];
}

/** How the weights in `checkpoint` are named. */
export function storedWeights(checkpoint: Checkpoint): StoredWeights {
  const prefix = trunkPrefix(checkpoint);
  const headPlace = [headBeside(prefix), untiedHead].find((name) => checkpoint.has(name)) ?? headBeside(prefix);
  const place = (name: string): string =>
    name === untiedHead ? headPlace : name.startsWith(ourTrunk) ? prefix + name.slice(ourTrunk.length) : name;
  // A tied model may store its one matrix under the head's name only.
  const embeddingPlace = checkpoint.has(place(embeddingName)) ? place(embeddingName) : headPlace;
  const nameOf = ({ name }: { name: string }): string => (name === embeddingName ? embeddingPlace : place(name));
  const inTrunk = (name: string): boolean =>
    prefix === '' ? /^(?:layers|embed_tokens|norm)\./.test(name) : name.startsWith(prefix);
  return {
    nameOf,
    ownNameOf: ({ name }) => place(name),
    head: checkpoint.has(headPlace) && checkpoint.aliasOf(headPlace) === null ? headPlace : null,
    surplus(configuration) {
      const known = new Set(parameterSpecifications(configuration).map(nameOf));
      return checkpoint
        .names()
        .filter((name) => inTrunk(name) && !known.has(name) && name !== place(embeddingName) && !computed.test(name));
    },
    beside: () =>
      checkpoint.names().filter((name) => !inTrunk(name) && name !== headPlace && checkpoint.aliasOf(name) === null),
  };
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
  checkpoint: Checkpoint,
  weights: StoredWeights,
  configuration: ModelConfiguration,
  settings: JsonObject,
): Promise<Tying> {
  const { head } = weights;
  if (configuration.tiedEmbeddings) {
    const embedding = weights.nameOf({ name: embeddingName });
    const differs = head !== null && head !== embedding && !(await checkpoint.sameValues(head, embedding));
    return { tied: !differs, finding: differs ? tell('teacher.head-although-tied', { name: head }) : null };
  }
  if (head !== null) return { tied: false, finding: null };
  const alias = checkpoint.has(weights.nameOf({ name: untiedHead }));
  if (alias) return { tied: true, finding: null };
  if (saysUntied(settings)) throw new TritsmithError('unsupported', 'model.no-head', { name: untiedHead });
  return { tied: true, finding: tell('teacher.head-left-out') };
}

function saysUntied(settings: JsonObject): boolean {
  const inner = ownValue(settings, 'text_config');
  return [settings, inner].some((holder) => isJsonObject(holder) && ownValue(holder, 'tie_word_embeddings') === false);
}
