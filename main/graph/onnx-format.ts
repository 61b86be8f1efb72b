/** Writes ONNX `ModelProto` bytes (onnx.proto3, IR version 9). Only what the graph engine emits. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export type ElementType = 'float32' | 'int32' | 'int64' | 'uint8' | 'int8';

/** Types of constants; exported models also hold float16. */
export type ConstantType = ElementType | 'float16';

/** ONNX `TensorProto.DataType`. */
const elementCode: Record<ConstantType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 };

const elementBytes: Record<ConstantType, number> = { float32: 4, uint8: 1, int8: 1, int32: 4, int64: 8, float16: 2 };

/** An attribute; `float` and `int` are told apart by the key, never by the JavaScript value (1 would become an int). */
export type Attribute = { float: number } | { int: number } | { ints: readonly number[] };

export interface OnnxNode {
  readonly operator: string;
  /** `''` is ai.onnx, else `com.microsoft`. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly type: ElementType;
  /** Numbers are fixed; strings name a dimension known only when the session runs. */
  readonly shape: readonly (number | string)[];
}

/** What the file says of a constant before its values. */
export interface OnnxConstantHeader {
  readonly name: string;
  readonly type: ConstantType;
  readonly shape: readonly number[];
}

export interface OnnxConstant extends OnnxConstantHeader {
  readonly bytes: Uint8Array;
}

export interface OnnxGraph<Constant extends OnnxConstantHeader = OnnxConstant> {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxTensor[];
  readonly outputs: readonly OnnxTensor[];
  readonly constants: readonly Constant[];
}

/** Bytes of a constant's values. */
export function constantBytes({ type, shape }: OnnxConstantHeader): number {
  return shape.reduce((product, size) => product * size, elementBytes[type]);
}

function message(writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function string(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function int(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: Attribute): void {
  string(writer, 1, name);
  if ('float' in attribute) {
    writer.tag(2, WireType.Bit32).float(attribute.float);
    int(writer, 20, 1);
  } else if ('int' in attribute) {
    int(writer, 3, attribute.int);
    int(writer, 20, 2);
  } else {
    for (const value of attribute.ints) int(writer, 8, value);
    int(writer, 20, 7);
  }
}

function writeTensorType(writer: BinaryWriter, tensor: OnnxTensor): void {
  string(writer, 1, tensor.name);
  message(writer, 2, (type) =>
    message(type, 1, (tensorType) => {
      int(tensorType, 1, elementCode[tensor.type]);
      message(tensorType, 2, (shape) => {
        for (const dimension of tensor.shape)
          message(shape, 1, (dim) => {
            if (typeof dimension === 'number') int(dim, 1, dimension);
            else string(dim, 2, dimension);
          });
      });
    }),
  );
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
  for (const input of node.inputs) string(writer, 1, input);
  for (const output of node.outputs) string(writer, 2, output);
  string(writer, 4, node.operator);
  for (const [name, attribute] of Object.entries(node.attributes))
    message(writer, 5, (target) => writeAttribute(target, name, attribute));
  if (node.domain !== '') string(writer, 7, node.domain);
}

function written(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

/** All of a constant's message but its values, which follow. */
function constantStart(constant: OnnxConstantHeader): Uint8Array {
  const bytes = constantBytes(constant);
  const fields = written((tensor) => {
    for (const dimension of constant.shape) int(tensor, 1, dimension);
    int(tensor, 2, elementCode[constant.type]);
    string(tensor, 8, constant.name);
    tensor.tag(9, WireType.LengthDelimited).uint32(bytes);
  });
  return written((writer) => {
    writer
      .tag(5, WireType.LengthDelimited)
      .uint32(fields.length + bytes)
      .raw(fields);
  });
}

/** A model's bytes in order: pieces as they are, and between them constants, whose values have their place there. */
export interface OnnxLayout<Constant extends OnnxConstantHeader> {
  readonly parts: readonly (Uint8Array | Constant)[];
  readonly bytes: number;
}

/** Places a graph as an ONNX model with opset 18 and com.microsoft 1; lengths stand before what they measure, so all are known first. */
export function layOutOnnx<Constant extends OnnxConstantHeader>(graph: OnnxGraph<Constant>): OnnxLayout<Constant> {
  const before = written((body) => {
    for (const node of graph.nodes) message(body, 1, (entry) => writeNode(entry, node));
    string(body, 2, graph.name);
  });
  const constants = graph.constants.map((constant) => ({ constant, start: constantStart(constant) }));
  const after = written((body) => {
    for (const input of graph.inputs) message(body, 11, (entry) => writeTensorType(entry, input));
    for (const output of graph.outputs) message(body, 12, (entry) => writeTensorType(entry, output));
  });
  const graphBytes = constants.reduce(
    (sum, { constant, start }) => sum + start.length + constantBytes(constant),
    before.length + after.length,
  );
  const head = written((writer) => {
    int(writer, 1, 9);
    string(writer, 2, 'tritsmith');
    writer.tag(7, WireType.LengthDelimited).uint32(graphBytes);
  });
  const tail = written((writer) => {
    for (const [domain, version] of [
      ['', 18],
      ['com.microsoft', 1],
    ] as const)
      message(writer, 8, (opset) => {
        string(opset, 1, domain);
        int(opset, 2, version);
      });
  });
  const parts = [head, before, ...constants.flatMap(({ constant, start }) => [start, constant]), after, tail];
  return { parts, bytes: head.length + graphBytes + tail.length };
}

/** Serialises a graph whose constants are in memory. */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const { parts, bytes } = layOutOnnx(graph);
  const model = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    const piece = part instanceof Uint8Array ? part : part.bytes;
    model.set(piece, at);
    at += piece.length;
  }
  return model;
}
