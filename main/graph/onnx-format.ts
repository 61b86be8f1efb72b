/** Writes ONNX `ModelProto` bytes (onnx.proto3, IR version 9). Only what the graph engine emits. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export type ElementType = 'float32' | 'int32' | 'int64';

/** Types of constants; the engine's own values are of the first three, exported models also pack. */
export type ConstantType = ElementType | 'uint8' | 'int8' | 'float16';

/** ONNX `TensorProto.DataType`. */
const elementCode: Record<ConstantType, number> = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 };

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

export interface OnnxConstant {
  readonly name: string;
  readonly type: ConstantType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxTensor[];
  readonly outputs: readonly OnnxTensor[];
  readonly constants: readonly OnnxConstant[];
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

/** Serialises a graph as an ONNX model with opset 18 and com.microsoft 1. */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const writer = new BinaryWriter();
  int(writer, 1, 9);
  string(writer, 2, 'tritsmith');
  message(writer, 7, (body) => {
    for (const node of graph.nodes)
      message(body, 1, (entry) => {
        for (const input of node.inputs) string(entry, 1, input);
        for (const output of node.outputs) string(entry, 2, output);
        string(entry, 4, node.operator);
        for (const [name, attribute] of Object.entries(node.attributes))
          message(entry, 5, (target) => writeAttribute(target, name, attribute));
        if (node.domain !== '') string(entry, 7, node.domain);
      });
    string(body, 2, graph.name);
    for (const constant of graph.constants)
      message(body, 5, (tensor) => {
        for (const dimension of constant.shape) int(tensor, 1, dimension);
        int(tensor, 2, elementCode[constant.type]);
        string(tensor, 8, constant.name);
        tensor.tag(9, WireType.LengthDelimited).bytes(constant.bytes);
      });
    for (const input of graph.inputs) message(body, 11, (entry) => writeTensorType(entry, input));
    for (const output of graph.outputs) message(body, 12, (entry) => writeTensorType(entry, output));
  });
  for (const [domain, version] of [
    ['', 18],
    ['com.microsoft', 1],
  ] as const)
    message(writer, 8, (opset) => {
      string(opset, 1, domain);
      int(opset, 2, version);
    });
  return writer.finish();
}
