/** A Hugging Face folder's weights: one `model.safetensors`, or shards listed in `model.safetensors.index.json`. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { isJsonObject, ownValue, readJsonObject } from '../../basics/bounded-json.ts';
import type { TensorEntry } from './header.ts';
import { openSafetensors, type SafetensorsFile } from './reader.ts';

const indexName = 'model.safetensors.index.json';
const singleName = 'model.safetensors';
const largestIndexBytes = 100_000_000;
const mostShards = 2048;

export interface Checkpoint {
  /** The files that hold the weights, in name order. */
  readonly files: readonly string[];
  /** Metadata of the first file. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Names of stored tensors and of aliases, sorted. */
  names(): string[];
  has(name: string): boolean;
  /** The stored tensor behind an alias (tied weights named in the metadata); null for a stored tensor. */
  aliasOf(name: string): string | null;
  /** @throws TritsmithError `not-found` */
  shape(name: string): readonly number[];
  /** @throws TritsmithError `not-found` */
  dtype(name: string): string;
  /** Row-major values, aliases followed. @throws TritsmithError as `SafetensorsFile.readFloat32` */
  readFloat32(name: string, out?: Float32Array): Promise<Float32Array>;
  /** A stored tensor's own bytes, or `[begin, end)` of them, aliases followed. @throws TritsmithError as `SafetensorsFile.readBytes` */
  readBytes(name: string, begin?: number, end?: number): Promise<Uint8Array>;
  /** Whether two tensors have one shape and the same values. Reads until they differ. */
  sameValues(one: string, other: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Shard by tensor name, from the index; every shard is a plain file name inside the folder. */
async function readIndex(folder: string): Promise<Map<string, string>> {
  const file = path.join(folder, indexName);
  const index = await readJsonObject(file, largestIndexBytes, 8);
  const weightMap = ownValue(index, 'weight_map');
  if (!isJsonObject(weightMap) || Object.keys(weightMap).length === 0)
    throw new TritsmithError('damaged', 'shards.none-listed', { file });
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,250}\.safetensors$/.test(shard))
      throw new TritsmithError('bad-input', 'shards.odd-name', {
        file,
        tensor: tensor.slice(0, 200),
        shard: JSON.stringify(shard).slice(0, 200),
      });
    shardOf.set(tensor, shard);
  }
  return shardOf;
}

async function openShards(folder: string, shardOf: Map<string, string>): Promise<Map<string, SafetensorsFile>> {
  const names = [...new Set(shardOf.values())].sort();
  if (names.length > mostShards)
    throw new TritsmithError('unsupported', 'shards.too-many', { folder, count: names.length, most: mostShards });
  const present = new Set(await readdir(folder));
  const missing = names.filter((name) => !present.has(name));
  if (missing.length > 0)
    throw new TritsmithError('not-found', 'shards.missing', { folder, index: indexName, missing, count: names.length });
  const opened = new Map<string, SafetensorsFile>();
  try {
    for (const name of names) opened.set(name, await openSafetensors(path.join(folder, name)));
    for (const [tensor, shard] of shardOf)
      if (!opened.get(shard)!.tensors.has(tensor))
        throw new TritsmithError('damaged', 'shards.lack-tensor', {
          file: path.join(folder, shard),
          index: indexName,
          tensor,
        });
    const holder = new Map<string, string>();
    for (const [shard, file] of opened)
      for (const tensor of file.tensors.keys()) {
        const other = holder.get(tensor);
        if (other) throw new TritsmithError('damaged', 'shards.twice', { tensor, first: other, second: shard });
        holder.set(tensor, shard);
      }
  } catch (thrown) {
    await Promise.all([...opened.values()].map((file) => file.close()));
    throw thrown;
  }
  return opened;
}

async function openFolder(folder: string): Promise<{ files: SafetensorsFile[]; holder: Map<string, SafetensorsFile> }> {
  const present = await readdir(folder);
  if (present.includes(singleName)) {
    const file = await openSafetensors(path.join(folder, singleName));
    return { files: [file], holder: new Map([...file.tensors.keys()].map((name) => [name, file])) };
  }
  if (present.includes(indexName)) {
    const shardOf = await readIndex(folder);
    const shards = await openShards(folder, shardOf);
    return {
      files: [...shards.values()],
      holder: new Map([...shardOf].map(([tensor, shard]) => [tensor, shards.get(shard)!])),
    };
  }
  const pickled = present.find((name) => /\.(?:bin|pt|pth|ckpt|pkl)$/.test(name) && name !== 'training_args.bin');
  if (pickled !== undefined) throw new TritsmithError('unsupported', 'weights.pickled', { folder, name: pickled });
  const other = present.find((name) => /\.(?:gguf|onnx|h5|msgpack|safetensors)$/.test(name));
  throw new TritsmithError('not-found', 'weights.none', { folder, single: singleName, index: indexName, other });
}

/** A tensor of a checkpoint, its alias followed. */
interface Stored {
  readonly target: string;
  readonly file: SafetensorsFile;
  readonly entry: TensorEntry;
}

const comparedBytes = 4 * 1024 * 1024;

async function sameValues(one: Stored, other: Stored): Promise<boolean> {
  if (one.entry.shape.join() !== other.entry.shape.join()) return false;
  if (one.entry.dtype !== other.entry.dtype) {
    const [a, b] = await Promise.all([one, other].map(({ file, target }) => file.readFloat32(target)));
    return a!.every((value, index) => value === b![index]);
  }
  const bytes = one.entry.end - one.entry.begin;
  for (let begin = 0; begin < bytes; begin += comparedBytes) {
    const end = Math.min(bytes, begin + comparedBytes);
    const [a, b] = await Promise.all([one, other].map(({ file, target }) => file.readBytes(target, begin, end)));
    if (Buffer.compare(a!, b!) !== 0) return false;
  }
  return true;
}

/**
 * Opens the weights of a Hugging Face folder; all headers are checked before this returns. Entries of a file's metadata that map a
 * name to a stored tensor (`"model.embed_tokens.weight": "lm_head.weight"`) are aliases. Close it when done.
 * @throws TritsmithError `not-found` (folder, weights, shard), `bad-input` (shard outside the folder), `damaged`, `unsupported`
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  let opened;
  try {
    opened = await openFolder(folder);
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  const { files, holder } = opened;
  const aliases = new Map<string, string>();
  for (const file of files)
    for (const [alias, target] of Object.entries(file.metadata))
      if (holder.has(target) && !holder.has(alias)) aliases.set(alias, target);
  const stored = (name: string): Stored => {
    const target = aliases.get(name) ?? name;
    const file = holder.get(target);
    if (!file) throw new TritsmithError('not-found', 'weights.lack-tensor', { folder, name });
    return { target, file, entry: file.tensors.get(target)! };
  };
  return {
    files: files.map((file) => file.path),
    metadata: files[0]?.metadata ?? {},
    names: () => [...holder.keys(), ...aliases.keys()].sort(),
    has: (name) => holder.has(name) || aliases.has(name),
    aliasOf: (name) => aliases.get(name) ?? null,
    shape: (name) => stored(name).entry.shape,
    dtype: (name) => stored(name).entry.dtype,
    async readFloat32(name, out) {
      const { target, file } = stored(name);
      return file.readFloat32(target, out);
    },
    async readBytes(name, begin, end) {
      const { target, file } = stored(name);
      return file.readBytes(target, begin, end);
    },
    sameValues: (one, other) => sameValues(stored(one), stored(other)),
    async close() {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}
