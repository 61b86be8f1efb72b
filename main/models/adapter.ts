/** A LoRA adapter as peft saves it: `adapter_config.json` and `adapter_model.safetensors`, a small change of a base model that lies elsewhere. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TritsmithError } from '../contract/errors.ts';
import { isJsonObject, type Json, type JsonObject, ownValue } from '../basics/bounded-json.ts';
import { openSafetensors, type SafetensorsFile } from '../formats/safetensors/index.ts';
import { readOptionalSettings } from './companion-files.ts';

const settingsName = 'adapter_config.json';
const weightsName = 'adapter_model.safetensors';
const pickledName = 'adapter_model.bin';
/** What peft stands in front of every name. */
const wrapper = 'base_model.model.';

/** Settings that change what an adapter computes in a way that is not merged here; null, false or empty means that it is not used. */
const notMerged = [
  'alora_invocation_tokens',
  'arrow_config',
  'ensure_weight_tying',
  'kasa_config',
  'layer_replication',
  'monteclora_config',
  'target_parameters',
  'trainable_token_indices',
  'use_bdlora',
  'use_qalora',
];
/** Starts that also change the base, so that the adapter does not belong to the base as it was published. */
const changesTheBase = /^(?:pissa|olora|corda|loftq|lora_ga)/;

export interface Adapter {
  readonly folder: string;
  /** How the adapter names its base: `owner/name` or a path of the machine that made it. */
  readonly base: string | null;
  readonly settings: JsonObject;
}

/** The adapter in `folder`; null where it holds none, or a whole model besides. @throws TritsmithError `damaged`, `bad-input` */
export async function readAdapter(folder: string): Promise<Adapter | null> {
  const whole = ['model.safetensors', 'model.safetensors.index.json'].some((name) => existsSync(join(folder, name)));
  const settings = whole ? null : await readOptionalSettings(folder, settingsName);
  if (settings === null) return null;
  const base = ownValue(settings, 'base_model_name_or_path');
  return { folder, settings, base: typeof base === 'string' && base !== '' ? base.slice(0, 200) : null };
}

/** What an adapter does to one tensor of its base. */
export interface TensorChange {
  /** Tensor of the adapter that stands in place of the base's. */
  replacement?: string;
  /** `[r, in]` and `[out, r]` (of an embedding `[r, rows]` and `[width, r]`): the change is `scale * B A` (of an embedding, its transpose). */
  low?: { a: string; b: string; embedding: boolean; scale: number };
  /** DoRA: the norms `[out]` that the rows have after the change. */
  magnitude?: string;
  /** `[out]`, times `scale`, is added to a bias. */
  added?: { name: string; scale: number };
}

export interface AdapterWeights {
  readonly file: SafetensorsFile;
  /** By the name that the tensor has in the base model's class (`model.layers.0.self_attn.q_proj.weight`). */
  readonly changes: ReadonlyMap<string, TensorChange>;
}

/**
 * Opens the weights of an adapter and says what each of them changes (peft, `LoraLayer.merge`). Close `file` when done.
 * @throws TritsmithError `unsupported` for a kind of adapter that is not merged here, `damaged` where a part is missing
 */
export async function openAdapter(adapter: Adapter): Promise<AdapterWeights> {
  const { folder, settings } = adapter;
  assertMergeable(settings);
  if (!existsSync(join(folder, weightsName)) && existsSync(join(folder, pickledName)))
    throw new TritsmithError('unsupported', 'weights.pickled', { folder, name: pickledName });
  const file = await openSafetensors(join(folder, weightsName));
  try {
    return { file, changes: changesOf(file, settings) };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

function assertMergeable(settings: JsonObject): void {
  const refuse = (what: string): never => {
    throw new TritsmithError('unsupported', 'adapter.kind', { what: what.slice(0, 80) });
  };
  const type = ownValue(settings, 'peft_type');
  if (type !== 'LORA') refuse(`peft_type ${JSON.stringify(type ?? null)}`);
  const task = ownValue(settings, 'task_type');
  if (typeof task === 'string' && task !== 'CAUSAL_LM') refuse(`task_type "${task}"`);
  const start = ownValue(settings, 'init_lora_weights');
  if (typeof start === 'string' && changesTheBase.test(start)) refuse(`init_lora_weights "${start}"`);
  for (const name of notMerged) if (isSet(ownValue(settings, name))) refuse(name);
}

function isSet(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function changesOf(file: SafetensorsFile, settings: JsonObject): Map<string, TensorChange> {
  const changes = new Map<string, TensorChange>();
  const changeOf = (name: string): TensorChange => {
    const known = changes.get(name) ?? {};
    changes.set(name, known);
    return known;
  };
  const names = [...file.tensors.keys()];
  for (const name of names) {
    const plain = name.startsWith(wrapper) ? name.slice(wrapper.length) : name;
    const [, module, part] = /^(.+)\.(lora_[^.]+(?:\.weight|\.bias)?)$/.exec(plain) ?? [];
    if (module === undefined || part === undefined) {
      changeOf(plain.replace('.base_layer.', '.').replace('.modules_to_save.', '.')).replacement = name;
      continue;
    }
    const other = (from: string, to: string): string => {
      const partner = name.replace(from, to);
      if (file.tensors.has(partner)) return partner;
      throw new TritsmithError('damaged', 'adapter.lacks-part', { file: file.path, name: partner });
    };
    const embedding = part.startsWith('lora_embedding_');
    switch (part) {
      case 'lora_A.weight':
      case 'lora_embedding_A': {
        const b = other(embedding ? 'lora_embedding_A' : 'lora_A', embedding ? 'lora_embedding_B' : 'lora_B');
        const rank = file.tensors.get(name)!.shape[0] ?? 0;
        changeOf(`${module}.weight`).low = { a: name, b, embedding, scale: scaleOf(settings, module, rank) };
        break;
      }
      case 'lora_B.weight':
      case 'lora_embedding_B':
        other(embedding ? 'lora_embedding_B' : 'lora_B', embedding ? 'lora_embedding_A' : 'lora_A');
        break;
      case 'lora_B.bias': {
        const rank = file.tensors.get(other('lora_B.bias', 'lora_A.weight'))!.shape[0] ?? 0;
        changeOf(`${module}.bias`).added = { name, scale: scaleOf(settings, module, rank) };
        break;
      }
      case 'lora_magnitude_vector':
      case 'lora_magnitude_vector.weight':
        changeOf(`${module}.weight`).magnitude = name;
        break;
      default:
        throw new TritsmithError('unsupported', 'adapter.kind', { what: part.slice(0, 80) });
    }
  }
  return changes;
}

/** `alpha / r`, or `alpha / sqrt(r)` with rank-stabilised LoRA; `alpha_pattern` names modules with an alpha of their own. */
function scaleOf(settings: JsonObject, module: string, rank: number): number {
  const own = patternValue(ownValue(settings, 'alpha_pattern'), module);
  const alpha = own ?? ownValue(settings, 'lora_alpha');
  if (typeof alpha !== 'number' || !Number.isFinite(alpha) || rank < 1)
    throw new TritsmithError('damaged', 'adapter.no-alpha', { module: module.slice(0, 200) });
  return alpha / (ownValue(settings, 'use_rslora') === true ? Math.sqrt(rank) : rank);
}

/**
 * The value of the first key that names `module`: its whole path or the end of it, after a dot. peft reads keys as regular expressions; those that
 * are more than a path are refused, since the file of a stranger must not run one here.
 */
function patternValue(patterns: Json | undefined, module: string): Json | undefined {
  if (!isJsonObject(patterns)) return undefined;
  for (const [key, value] of Object.entries(patterns)) {
    const path = key.replace(/^\^/, '').replaceAll('\\.', '.');
    if (!/^[\w.]+$/.test(path))
      throw new TritsmithError('unsupported', 'adapter.kind', { what: `alpha_pattern "${key.slice(0, 60)}"` });
    if (module === path || (!key.startsWith('^') && module.endsWith(`.${path}`))) return value;
  }
  return undefined;
}
