/** Writes a GGUF file (version 3, little-endian) tensor by tensor: memory holds the metadata and one tensor. */
import { TritsmithError } from '../../contract/errors.ts';
import { type AtomicFile, writeFileAtomically } from '../../basics/atomic-file.ts';
import { type GgufMetadata, type GgufValue, type ItemType, leastBytes, typeNumber } from './metadata.ts';
import { type TensorData, writeTensorData } from '../tensor-data.ts';
import {
  checkShapeForType,
  hasScaleAtEnd,
  tensorBytes,
  tensorTypeByName,
  type TensorTypeName,
} from './tensor-types.ts';

export interface GgufTensorToWrite extends TensorData {
  readonly type: TensorTypeName;
  /** Row-major as in PyTorch, `[rows, columns]` or `[n]`; the file has the dimensions the other way round. */
  readonly shape: readonly number[];
  /** I2_S or T3_4, whose blocks then go on over the ends of rows, so that any shape is written. */
  readonly throughRows?: boolean;
}

const alignment = 32;
const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment;

/** Grows as it is written to. */
class ByteSink {
  #bytes = Buffer.alloc(64 * 1024);
  #length = 0;

  #room(count: number): number {
    if (this.#length + count > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#length + count));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    const at = this.#length;
    this.#length += count;
    return at;
  }

  text(value: string): void {
    const bytes = Buffer.from(value, 'utf8');
    this.item('uint64', bytes.length);
    const at = this.#room(bytes.length);
    bytes.copy(this.#bytes, at);
  }

  item(type: ItemType, value: number | bigint | boolean | string): void {
    if (type === 'string') {
      this.text(value as string);
      return;
    }
    const at = this.#room(leastBytes(type));
    const bytes = this.#bytes;
    if (type === 'bool') bytes.writeUInt8(value ? 1 : 0, at);
    else if (type === 'uint8') bytes.writeUInt8(Number(value), at);
    else if (type === 'int8') bytes.writeInt8(Number(value), at);
    else if (type === 'uint16') bytes.writeUInt16LE(Number(value), at);
    else if (type === 'int16') bytes.writeInt16LE(Number(value), at);
    else if (type === 'uint32') bytes.writeUInt32LE(Number(value), at);
    else if (type === 'int32') bytes.writeInt32LE(Number(value), at);
    else if (type === 'float32') bytes.writeFloatLE(Number(value), at);
    else if (type === 'uint64') bytes.writeBigUInt64LE(BigInt(value), at);
    else if (type === 'int64') bytes.writeBigInt64LE(BigInt(value), at);
    else bytes.writeDoubleLE(Number(value), at);
  }

  value(value: GgufValue): void {
    if (value.type !== 'array') {
      this.item(value.type, value.value);
      return;
    }
    this.item('uint32', typeNumber(value.items));
    this.item('uint64', value.value.length);
    if (value.items === 'array') for (const inner of value.value) this.value(inner);
    else for (const inner of value.value) this.item(value.items, inner);
  }

  /** What was written, filled up to the alignment. */
  finish(): Uint8Array {
    this.#room(aligned(this.#length) - this.#length);
    return this.#bytes.subarray(0, this.#length);
  }
}

interface Layout {
  readonly header: Uint8Array;
  readonly placed: readonly { readonly tensor: GgufTensorToWrite; readonly bytes: number }[];
  /** Bytes of the whole file. */
  readonly bytes: number;
}

/** Header and places; `path` is for errors alone. */
function layOut(path: string, metadata: GgufMetadata, tensors: Iterable<GgufTensorToWrite>): Layout {
  const names = new Set<string>();
  let offset = 0;
  const placed = [...tensors].map((tensor) => {
    const type = tensorTypeByName(tensor.type);
    if (tensor.throughRows !== true || !hasScaleAtEnd(tensor.type)) checkShapeForType(tensor.name, type, tensor.shape);
    if (names.has(tensor.name) || Buffer.byteLength(tensor.name) >= 64 || tensor.shape.length > 4)
      throw new TritsmithError('internal', 'tensor.not-writable', {
        path,
        name: tensor.name,
        why: names.has(tensor.name) ? 'taken' : 'too-long',
      });
    names.add(tensor.name);
    const bytes = tensorBytes(
      type,
      tensor.shape.reduce((product, dimension) => product * dimension, 1),
    );
    const entry = { tensor, type, bytes, offset };
    offset += aligned(bytes);
    return entry;
  });
  const sink = new ByteSink();
  try {
    sink.item('uint32', 0x4655_4747);
    sink.item('uint32', 3);
    sink.item('uint64', placed.length);
    sink.item('uint64', metadata.size);
    for (const [key, value] of metadata) {
      sink.text(key);
      sink.item('uint32', typeNumber(value.type));
      sink.value(value);
    }
  } catch (thrown) {
    throw new TritsmithError('internal', 'gguf.metadata-not-writable', { path, problem: (thrown as Error).message });
  }
  for (const { tensor, type, offset: at } of placed) {
    sink.text(tensor.name);
    sink.item('uint32', tensor.shape.length);
    for (const dimension of [...tensor.shape].reverse()) sink.item('uint64', dimension);
    sink.item('uint32', type.id);
    sink.item('uint64', at);
  }
  const header = sink.finish();
  return { header, placed, bytes: header.length + offset };
}

/** Bytes of the file that `writeGguf` makes of the same; no tensor is asked for its data. @throws as `writeGguf` */
export function ggufBytes(metadata: GgufMetadata, tensors: Iterable<GgufTensorToWrite>): number {
  return layOut('a GGUF file', metadata, tensors).bytes;
}

/**
 * Writes metadata and tensors to `path`, whole or not at all (see `writeFileAtomically`), in the order given, data 32-byte aligned.
 * @throws TritsmithError `unsupported` (a shape that a type can't hold), `no-space`, `not-writable`, `not-found`; `internal` where data does not
 * fit its shape, a name comes twice, or a metadata value does not fit its type
 */
export async function writeGguf(
  path: string,
  metadata: GgufMetadata,
  tensors: Iterable<GgufTensorToWrite>,
): Promise<void> {
  const { header, placed, bytes: total } = layOut(path, metadata, tensors);
  const write = async (file: AtomicFile): Promise<void> => {
    await file.write(header);
    for (const { tensor, bytes } of placed) {
      await writeTensorData(file, tensor, bytes);
      if (bytes % alignment !== 0) await file.write(new Uint8Array(alignment - (bytes % alignment)));
    }
  };
  await writeFileAtomically(path, write, total);
}
