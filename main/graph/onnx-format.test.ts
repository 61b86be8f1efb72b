/** ONNX files hold what they were given: read back by a decoder of protocol buffers that knows nothing of the writer (property). */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Attribute, encodeOnnx, type OnnxConstant, type OnnxNode, type OnnxTensor } from './onnx-format.ts';

/** Fields of a message by number, each as often as it comes: varints, 32-bit floats, bytes. */
type Fields = Map<number, (bigint | number | Uint8Array)[]>;

function decode(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    const value =
      wire === WireType.Varint
        ? BigInt.asIntN(64, BigInt(reader.int64()))
        : wire === WireType.Bit32
          ? reader.float()
          : reader.bytes();
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}
const all = (fields: Fields, field: number) => fields.get(field) ?? [];
const messages = (fields: Fields, field: number) => all(fields, field).map((bytes) => decode(bytes as Uint8Array));
const strings = (fields: Fields, field: number) =>
  all(fields, field).map((bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'));
const numbers = (fields: Fields, field: number) => all(fields, field).map(Number);

/** Field numbers of onnx.proto3. */
function readAttribute(fields: Fields): [string, Attribute] {
  const kind = numbers(fields, 20)[0];
  const value: Attribute =
    kind === 1
      ? { float: all(fields, 2)[0] as number }
      : kind === 2
        ? { int: numbers(fields, 3)[0]! }
        : { ints: numbers(fields, 8) };
  return [strings(fields, 1)[0]!, value];
}

function readNode(fields: Fields): OnnxNode {
  return {
    inputs: strings(fields, 1),
    outputs: strings(fields, 2),
    operator: strings(fields, 4)[0]!,
    domain: strings(fields, 7)[0] ?? '',
    attributes: Object.fromEntries(messages(fields, 5).map(readAttribute)),
  };
}

const typeOf = { 1: 'float32', 2: 'uint8', 3: 'int8', 6: 'int32', 7: 'int64', 10: 'float16' } as const;
type Code = keyof typeof typeOf;

function readTensor(fields: Fields): OnnxTensor {
  const [type] = messages(messages(fields, 2)[0]!, 1);
  return {
    name: strings(fields, 1)[0]!,
    type: typeOf[numbers(type!, 1)[0] as Code] as OnnxTensor['type'],
    shape: messages(messages(type!, 2)[0]!, 1).map((dim) => strings(dim, 2)[0] ?? numbers(dim, 1)[0]!),
  };
}

function readConstant(fields: Fields): OnnxConstant {
  return {
    name: strings(fields, 8)[0]!,
    type: typeOf[numbers(fields, 2)[0] as Code],
    shape: numbers(fields, 1),
    bytes: all(fields, 9)[0] as Uint8Array,
  };
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });
const int = fc.maxSafeInteger();
const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  fc.float({ noNaN: true }).map((float) => ({ float })),
  int.map((value) => ({ int: value })),
  fc.array(int, { maxLength: 5 }).map((ints) => ({ ints })),
);
const node: fc.Arbitrary<OnnxNode> = fc.record({
  operator: name,
  domain: fc.constantFrom('', 'com.microsoft'),
  inputs: fc.array(fc.oneof(name, fc.constant('')), { maxLength: 4 }),
  outputs: fc.array(name, { maxLength: 3 }),
  attributes: fc.dictionary(name, attribute, { maxKeys: 4 }),
});
const tensor: fc.Arbitrary<OnnxTensor> = fc.record({
  name,
  type: fc.constantFrom('float32', 'int32', 'int64'),
  shape: fc.array(fc.oneof(fc.nat(2 ** 31 - 1), name), { maxLength: 4 }),
});
const itemBytes = { float32: 4, int32: 4, int64: 8, uint8: 1, int8: 1, float16: 2 } as const;
const constant: fc.Arbitrary<OnnxConstant> = fc
  .record({
    name,
    type: fc.constantFrom(...(Object.keys(itemBytes) as (keyof typeof itemBytes)[])),
    shape: fc.array(fc.nat(5), { maxLength: 3 }),
  })
  .chain((header) => {
    const length = header.shape.reduce((product, size) => product * size, itemBytes[header.type]);
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ({ ...header, bytes }));
  });

describe('an ONNX file', () => {
  it('holds every node, attribute, shape and constant that it was given', () => {
    const graph = fc.record({
      name,
      nodes: fc.array(node, { maxLength: 5 }),
      inputs: fc.array(tensor, { maxLength: 3 }),
      outputs: fc.array(tensor, { maxLength: 3 }),
      constants: fc.array(constant, { maxLength: 4 }),
    });
    fc.assert(
      fc.property(graph, (written) => {
        const model = decode(encodeOnnx(written));
        expect(numbers(model, 1)).toEqual([9]);
        expect(messages(model, 8).map((set) => [strings(set, 1)[0] ?? '', numbers(set, 2)[0]])).toEqual([
          ['', 18],
          ['com.microsoft', 1],
        ]);
        const [body] = messages(model, 7);
        expect({
          name: strings(body!, 2)[0],
          nodes: messages(body!, 1).map(readNode),
          inputs: messages(body!, 11).map(readTensor),
          outputs: messages(body!, 12).map(readTensor),
          constants: messages(body!, 5).map(readConstant),
        }).toEqual(written);
      }),
      { numRuns: 200 },
    );
  });
});
