/** The header of a GGUF file, with every count and size checked against the file before anything is allocated by it. */
import { TritsmithError } from '../../contract/errors.ts';
import { elementCount } from '../safetensors/header.ts';
import { type GgufMetadata, type GgufValue, leastBytes, type NumberType, typeOfNumber } from './metadata.ts';
import { hasScaleAtEnd, tensorBytes, tensorTypeById, tensorTypeTitle } from './tensor-types.ts';

export interface GgufTensor {
  /** Name of the type, or `type 99` for one that is unknown here. */
  readonly type: string;
  readonly typeId: number;
  /** Row-major as in PyTorch: the reverse of the order in the file. */
  readonly shape: readonly number[];
  readonly count: number;
  /** First byte in the file. */
  readonly begin: number;
  /** Bytes; null where the type is unknown. */
  readonly bytes: number | null;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Thrown when the header goes on beyond the bytes that were read so far. */
export class MoreBytesNeeded extends Error {}

class Cursor {
  position = 0;
  readonly #bytes: Buffer;
  readonly #fileBytes: number;

  constructor(bytes: Buffer, fileBytes: number) {
    this.#bytes = bytes;
    this.#fileBytes = fileBytes;
  }

  /** Start of the next `count` bytes; refuses what the file can't hold. */
  take(count: number, what: string): number {
    if (count > this.#fileBytes - this.position) throw new RangeError(`${what} goes beyond the end of the file`);
    if (count > this.#bytes.length - this.position) throw new MoreBytesNeeded();
    const at = this.position;
    this.position += count;
    return at;
  }

  uint32(what: string): number {
    return this.#bytes.readUInt32LE(this.take(4, what));
  }

  /** A count of things of at least `least` bytes each. */
  count(what: string, least: number): number {
    const count = this.#bytes.readBigUInt64LE(this.take(8, what));
    if (count > BigInt(Math.floor((this.#fileBytes - this.position) / least)))
      throw new RangeError(`${what}: ${count} is more than the file can hold`);
    return Number(count);
  }

  text(what: string, longest: number): string {
    const length = this.count(what, 1);
    if (length > longest) throw new RangeError(`${what} has ${length} bytes`);
    const at = this.take(length, what);
    return this.#bytes.toString('utf8', at, at + length);
  }

  number(type: NumberType, what: string): number | bigint {
    const at = this.take(leastBytes(type), what);
    switch (type) {
      case 'uint8':
        return this.#bytes.readUInt8(at);
      case 'int8':
        return this.#bytes.readInt8(at);
      case 'uint16':
        return this.#bytes.readUInt16LE(at);
      case 'int16':
        return this.#bytes.readInt16LE(at);
      case 'uint32':
        return this.#bytes.readUInt32LE(at);
      case 'int32':
        return this.#bytes.readInt32LE(at);
      case 'float32':
        return this.#bytes.readFloatLE(at);
      case 'float64':
        return this.#bytes.readDoubleLE(at);
      default: {
        const large = type === 'uint64' ? this.#bytes.readBigUInt64LE(at) : this.#bytes.readBigInt64LE(at);
        return Number.isSafeInteger(Number(large)) ? Number(large) : large;
      }
    }
  }

  value(typeNumber: number, what: string, depth = 0): GgufValue {
    const type = typeOfNumber(typeNumber);
    if (type === undefined || depth > 4) throw new RangeError(`${what} has the impossible type ${typeNumber}`);
    if (type === 'string') return { type, value: this.text(what, 64 * 1024 * 1024) };
    if (type === 'bool') return { type, value: this.number('uint8', what) !== 0 };
    if (type !== 'array') return { type, value: this.number(type, what) };
    const items = typeOfNumber(this.uint32(what));
    if (items === undefined) throw new RangeError(`${what} is a list of an impossible type`);
    const count = this.count(what, leastBytes(items));
    if (count > 16_000_000) throw new RangeError(`${what} has ${count} items`);
    const fill = <T>(item: () => T): T[] => {
      const list: T[] = [];
      for (let i = 0; i < count; i++) list.push(item());
      return list;
    };
    if (items === 'string') return { type, items, value: fill(() => this.text(what, 16 * 1024 * 1024)) };
    if (items === 'bool') return { type, items, value: fill(() => this.number('uint8', what) !== 0) };
    if (items === 'array') return { type, items, value: fill(() => this.value(9, what, depth + 1)) };
    return { type, items, value: fill(() => this.number(items, what)) };
  }
}

interface TensorRecord {
  name: string;
  shape: number[];
  typeId: number;
  offset: number;
}

function readTensorRecord(cursor: Cursor): TensorRecord {
  const name = cursor.text('a tensor name', 1024);
  const dimensions = cursor.uint32(`tensor "${name}"`);
  if (dimensions > 4) throw new RangeError(`tensor "${name}" has ${dimensions} dimensions`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(Number(cursor.number('uint64', `tensor "${name}"`)));
  const typeId = cursor.uint32(`tensor "${name}"`);
  return { name, shape, typeId, offset: Number(cursor.number('uint64', `tensor "${name}"`)) };
}

function placeTensor(record: TensorRecord, dataStart: number, alignment: number, fileBytes: number): GgufTensor {
  const { name, shape, typeId, offset } = record;
  const type = tensorTypeById(typeId);
  const count = elementCount(shape);
  if (count === null || !shape.every((dimension) => dimension >= 1))
    throw new RangeError(`tensor "${name}" has the impossible shape [${shape.join(', ')}]`);
  // Blocks of I2_S and T3_4 may go on over the ends of rows.
  if (type && !hasScaleAtEnd(type.name) && (shape.at(-1) ?? 1) % type.blockValues !== 0)
    throw new RangeError(`tensor "${name}" of type ${type.name} has rows of ${shape.at(-1)} values`);
  const bytes = type ? tensorBytes(type, count) : null;
  if (offset % alignment !== 0 || offset + (bytes ?? 1) > fileBytes - dataStart)
    throw new RangeError(
      `tensor "${name}" lies at byte ${offset} of the data, of which there are ${fileBytes - dataStart}`,
    );
  return { type: tensorTypeTitle(typeId), typeId, shape, count, begin: dataStart + offset, bytes };
}

function alignmentOf(metadata: GgufMetadata): number {
  const entry = metadata.get('general.alignment');
  if (!entry) return 32;
  const value = entry.type === 'uint32' ? Number(entry.value) : 0;
  if (value < 8 || value > 65_536 || (value & (value - 1)) !== 0) throw new RangeError('the alignment is impossible');
  return value;
}

function refuseOverlaps(tensors: ReadonlyMap<string, GgufTensor>): void {
  let end = 0;
  for (const [name, { begin, bytes }] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin)) {
    if (begin < end) throw new RangeError(`tensor "${name}" overlaps another one`);
    end = begin + (bytes ?? 1);
  }
}

/**
 * Reads the header from the first bytes of a file.
 * @throws MoreBytesNeeded when `bytes` end within it, RangeError (with the reason) when it lies, TritsmithError `unsupported` (version)
 */
export function parseGgufHeader(file: string, bytes: Buffer, fileBytes: number): GgufHeader {
  const cursor = new Cursor(bytes, fileBytes);
  if (cursor.uint32('the magic number') !== 0x4655_4747) throw new RangeError('it does not begin with "GGUF"');
  const version = cursor.uint32('the version');
  if (version !== 2 && version !== 3) throw new TritsmithError('unsupported', 'gguf.version', { file, version });
  const tensorCount = cursor.count('the number of tensors', 24);
  const keyCount = cursor.count('the number of metadata keys', 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.text('a metadata key', 65_535);
    if (metadata.has(key)) throw new RangeError(`the key "${key}" is there twice`);
    metadata.set(key, cursor.value(cursor.uint32(`key "${key}"`), `key "${key}"`));
  }
  const records: TensorRecord[] = [];
  for (let i = 0; i < tensorCount; i++) records.push(readTensorRecord(cursor));
  const alignment = alignmentOf(metadata);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const record of records) {
    if (tensors.has(record.name)) throw new RangeError(`tensor "${record.name}" is there twice`);
    tensors.set(record.name, placeTensor(record, dataStart, alignment, fileBytes));
  }
  refuseOverlaps(tensors);
  return { version, metadata, tensors };
}
