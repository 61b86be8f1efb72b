/**
 * The header of a safetensors file (https://github.com/huggingface/safetensors, "Format"): 8 bytes length N, N bytes JSON
 * `{name: {dtype, shape, data_offsets: [begin, end]}}` and the data, which the offsets must cover without gap or overlap.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { isJsonObject, type Json, ownValue, parseBoundedJson } from '../../basics/bounded-json.ts';

/** The specification's own limit. */
export const largestHeaderBytes = 100_000_000;

const itemBytes = new Map<string, number>([
  ['BOOL', 1],
  ['U8', 1],
  ['I8', 1],
  ['F8_E5M2', 1],
  ['F8_E4M3', 1],
  ['F8_E8M0', 1],
  ['U16', 2],
  ['I16', 2],
  ['F16', 2],
  ['BF16', 2],
  ['U32', 4],
  ['I32', 4],
  ['F32', 4],
  ['U64', 8],
  ['I64', 8],
  ['F64', 8],
  ['C64', 8],
]);

/** Bytes of one item of a safetensors dtype; undefined for an unknown one. */
export function dtypeBytes(dtype: string): number | undefined {
  return itemBytes.get(dtype);
}

export interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte in the file. */
  readonly begin: number;
  /** One past the last byte in the file. */
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

const damaged = (file: string, reason: string) =>
  new TritsmithError('damaged', 'safetensors.damaged', { file, reason });

const isCount = (value: Json | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Product of a shape, or null where it leaves the safe integers. */
export function elementCount(shape: readonly number[]): number | null {
  let count = 1;
  for (const dimension of shape) {
    count *= dimension;
    if (!Number.isSafeInteger(count)) return null;
  }
  return count;
}

function tensorEntry(file: string, name: string, value: Json, dataStart: number, fileBytes: number): TensorEntry {
  const shown = JSON.stringify(name.slice(0, 200));
  if (!isJsonObject(value)) throw damaged(file, `The entry of tensor ${shown} is not an object.`);
  const dtype = ownValue(value, 'dtype');
  const shape = ownValue(value, 'shape');
  const offsets = ownValue(value, 'data_offsets');
  if (typeof dtype !== 'string') throw damaged(file, `Tensor ${shown} has no dtype.`);
  const size = itemBytes.get(dtype);
  if (size === undefined)
    throw new TritsmithError('unsupported', 'safetensors.unknown-dtype', {
      file,
      name: shown,
      dtype: dtype.slice(0, 40),
      known: [...itemBytes.keys()],
    });
  if (!Array.isArray(shape) || shape.length > 16 || !shape.every(isCount))
    throw damaged(file, `Tensor ${shown} has an impossible shape.`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw damaged(file, `Tensor ${shown} has impossible offsets.`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > fileBytes - dataStart)
    throw damaged(
      file,
      `Tensor ${shown} lies at bytes ${begin} to ${end} of the data, but the file has ${fileBytes - dataStart} bytes of data.`,
    );
  const count = elementCount(shape);
  if (count === null || count * size !== end - begin)
    throw damaged(
      file,
      `Tensor ${shown} of shape [${shape.join(', ')}] and dtype ${dtype} does not fit its ${end - begin} bytes.`,
    );
  return { dtype, shape: shape, begin: dataStart + begin, end: dataStart + end };
}

/**
 * Length of the JSON header from the first 8 bytes, checked against the file before anything is allocated.
 * @throws TritsmithError `damaged`
 */
export function headerLength(file: string, firstBytes: Uint8Array, fileBytes: number): number {
  if (firstBytes.length < 8) throw damaged(file, `It has only ${fileBytes} bytes.`);
  const length = new DataView(firstBytes.buffer, firstBytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(largestHeaderBytes, fileBytes - 8)) || length < 2n)
    throw damaged(file, `It claims a header of ${length} bytes; the file has ${fileBytes}.`);
  return Number(length);
}

/**
 * Checks and reads a header: every tensor inside the file, shape times dtype equal to its byte range, no gap, no overlap, no byte
 * that belongs to no tensor (so that a name written twice is refused too).
 * @throws TritsmithError `damaged`, `unsupported` (dtype)
 */
export function parseHeader(file: string, json: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = 8 + json.length;
  if (json[0] !== 0x7b) throw damaged(file, 'Its header does not begin with "{".');
  const root = parseBoundedJson(json, `The header of ${file}`, 4);
  if (!isJsonObject(root)) throw damaged(file, 'Its header is not a JSON object.');
  const tensors = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(root)) {
    if (name !== '__metadata__') {
      tensors.set(name, tensorEntry(file, name, value, dataStart, fileBytes));
      continue;
    }
    if (value === null) continue;
    if (!isJsonObject(value) || !Object.values(value).every((text) => typeof text === 'string'))
      throw damaged(file, 'Its metadata is not a map from text to text.');
    metadata = Object.fromEntries(Object.entries(value) as [string, string][]);
  }
  let position = dataStart;
  for (const [name, entry] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== position)
      throw damaged(
        file,
        entry.begin < position
          ? `Tensor ${JSON.stringify(name)} overlaps another one.`
          : `${entry.begin - position} bytes before tensor ${JSON.stringify(name)} belong to no tensor (or its name is there twice).`,
      );
    position = entry.end;
  }
  if (position !== fileBytes) throw damaged(file, `${fileBytes - position} bytes at its end belong to no tensor.`);
  return { tensors, metadata };
}
