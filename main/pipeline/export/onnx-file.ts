/**
 * A model as one ONNX file: token ids `[B, T]` in, logits `[B, T, V]` out, no key-value cache. Ternary matrices are 2-bit
 * `com.microsoft.MatMulNBits` with scale 1 on whole-number activations, which is exact; where the rows are no multiple of 16, `MatMulInteger`.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { native } from '../../../native/index.ts';
import { writeFileAtomically } from '../../formats/atomic-file.ts';
import { encodeF16 } from '../../formats/half-precision.ts';
import { Graph, type GraphNode, type Value } from '../../graph/graph.ts';
import { type ConstantType, encodeOnnx, type OnnxConstant, type OnnxNode } from '../../graph/onnx-format.ts';
import { linear, rmsNorm } from '../../graph/operations.ts';
import { type ModelConfiguration, projections, projectionShape } from '../../models/configuration.ts';
import { decoderLayer, deltaName } from '../../models/decoder-layer.ts';
import { embeddingName, finalNormName, headName, parameterSpecifications } from '../../models/parameters.ts';
import { rotaryTables } from '../../models/rotary-tables.ts';
import type { TensorSource } from './tensor-source.ts';

/** A protobuf message ends at 2 GiB; the rest is room for the graph. */
const largestModel = 1.9 * 2 ** 30;

const microsoft = 'com.microsoft';

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function constant(name: string, type: ConstantType, shape: readonly number[], data: ArrayBufferView): OnnxConstant {
  return { name, type, shape, bytes: bytesOf(data) };
}

function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: OnnxNode['attributes'] = {},
  domain = '',
): OnnxNode {
  return { operator, domain, inputs, outputs: [output], attributes };
}

/** Weights in a block of `MatMulNBits`: the largest power of two up to 256 that divides a row; null below 16. */
export function blockSize(columns: number): number | null {
  for (let size = 256; size >= 16; size /= 2) if (columns % size === 0) return size;
  return null;
}

/** Codes w + 2 (the zero point of 2 bits), four to a byte, the first in the lowest bits. */
export function packTwoBits(values: Float32Array): Uint8Array {
  const packed = new Uint8Array(values.length / 4);
  for (let index = 0; index < values.length; index += 1)
    packed[index >>> 2]! |= (values[index]! + 2) << (2 * (index & 3));
  return packed;
}

interface TernaryProduct {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxConstant[];
}

/** `integers T^T` for a ternary matrix `[O, K]`; `name` is unique in the model. */
function ternaryProduct(
  name: string,
  input: string,
  output: string,
  values: Float32Array,
  [rows, columns]: readonly [number, number],
): TernaryProduct {
  const block = blockSize(columns);
  if (block !== null) {
    const blocks = columns / block;
    return {
      nodes: [
        node(
          'MatMulNBits',
          [input, `${name}.packed`, `${name}.ones`],
          output,
          // Level 1: products in float32, so that whole numbers stay exact.
          {
            K: { int: columns },
            N: { int: rows },
            bits: { int: 2 },
            block_size: { int: block },
            accuracy_level: { int: 1 },
          },
          microsoft,
        ),
      ],
      constants: [
        constant(`${name}.packed`, 'uint8', [rows, blocks, block / 4], packTwoBits(values)),
        constant(`${name}.ones`, 'float32', [rows, blocks], new Float32Array(rows * blocks).fill(1)),
      ],
    };
  }
  const turned = new Int8Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1) turned[column * rows + row] = values[row * columns + column]!;
  return {
    nodes: [
      node('Cast', [input], `${name}.int8`, { to: { int: 3 } }),
      node('MatMulInteger', [`${name}.int8`, `${name}.turned`], `${name}.int32`),
      node('Cast', [`${name}.int32`], output, { to: { int: 1 } }),
    ],
    constants: [constant(`${name}.turned`, 'int8', [columns, rows], turned)],
  };
}

/** Collects the model's nodes and constants; names of the parts get a prefix. */
class ModelBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly constants = new Map<string, OnnxConstant>();

  add(constants: Iterable<OnnxConstant>): void {
    for (const entry of constants) this.constants.set(entry.name, entry);
  }

  /** Adds the nodes of a graph; `names` says what its inputs are called in the model. */
  graph(
    graph: Graph,
    prefix: string,
    names: ReadonlyMap<string, string>,
    replace?: (entry: GraphNode, rename: (name: string) => string) => boolean,
  ): void {
    this.add(graph.constants.values());
    const rename = (name: string): string =>
      graph.constants.has(name) ? name : (names.get(name) ?? `${prefix}${name}`);
    for (const entry of graph.nodes) {
      if (replace?.(entry, rename) === true) continue;
      const { operator, domain, attributes } = entry;
      this.nodes.push({
        operator,
        domain,
        attributes,
        inputs: entry.inputs.map(rename),
        outputs: entry.outputs.map(rename),
      });
    }
  }
}

/** `[T, T]`: 0 where a token may look, -1e9 ahead of it; made from the length of `ids`. */
function causalMask(builder: ModelBuilder): void {
  const integer = (name: string, values: number[], shape: number[]): OnnxConstant =>
    constant(name, 'int64', shape, BigInt64Array.from(values, BigInt));
  builder.add([
    integer('mask.zero', [0], []),
    integer('mask.one', [1], []),
    integer('mask.axis', [1], [1]),
    constant('mask.may', 'float32', [], Float32Array.of(0)),
    constant('mask.not', 'float32', [], Float32Array.of(-1e9)),
  ]);
  builder.nodes.push(
    node('Shape', ['input_ids'], 'mask.shape'),
    node('Gather', ['mask.shape', 'mask.one'], 'mask.length'),
    node('Range', ['mask.zero', 'mask.length', 'mask.one'], 'mask.columns'),
    node('Unsqueeze', ['mask.columns', 'mask.axis'], 'mask.rows'),
    node('Greater', ['mask.columns', 'mask.rows'], 'mask.ahead'),
    node('Where', ['mask.ahead', 'mask.not', 'mask.may'], 'mask'),
  );
}

async function addLayer(
  builder: ModelBuilder,
  layer: number,
  configuration: ModelConfiguration,
  source: TensorSource,
  input: string,
): Promise<string> {
  const graph = new Graph('layer');
  const built = decoderLayer(graph, configuration);
  const prefix = `layers.${layer}.`;
  const output = `${prefix}output`;
  const ternary = new Map<string, Float32Array>();
  for (const specification of parameterSpecifications(configuration).filter((entry) => entry.layer === layer)) {
    const { local, name, shape } = specification;
    const values = await source.read(name);
    if (!specification.ternary) {
      builder.add([constant(`${prefix}${local}`, 'float32', shape, values)]);
      continue;
    }
    const quantised = new Float32Array(values.length);
    const { delta } = native.quantiseTernary(values, quantised);
    ternary.set(local, quantised);
    builder.add([constant(`${prefix}${deltaName(local as 'q')}`, 'float32', [1], Float32Array.of(delta))]);
  }
  const names = new Map([
    ['x', input],
    ['mask', 'mask'],
    ['cos', 'cos'],
    ['sin', 'sin'],
    [built.output.name, output],
  ]);
  builder.graph(graph, prefix, names, (entry, rename) => {
    const local = projections.find((projection) => entry.inputs[1] === projection && ternary.has(projection));
    if (entry.operator !== 'FusedMatMul' || local === undefined) return false;
    const product = ternaryProduct(
      `${prefix}${local}`,
      rename(entry.inputs[0]!),
      rename(entry.outputs[0]!),
      ternary.get(local)!,
      projectionShape(configuration, local),
    );
    builder.nodes.push(...product.nodes);
    builder.add(product.constants);
    return true;
  });
  return output;
}

function addHead(builder: ModelBuilder, configuration: ModelConfiguration, hidden: string, head: string): void {
  const { hiddenSize, vocabSize, rmsNormEpsilon } = configuration;
  const graph = new Graph('head');
  const x = graph.input('x', ['B', 'T', hiddenSize]);
  const normed = rmsNorm(graph, x, graph.input('norm', [hiddenSize]), rmsNormEpsilon);
  const logits: Value = linear(graph, normed, graph.input('head', [vocabSize, hiddenSize]));
  const names = new Map([
    ['x', hidden],
    ['norm', 'finalNorm'],
    ['head', head],
    [logits.name, 'logits'],
  ]);
  builder.graph(graph, 'head.', names);
}

/** A table in F16 with a cast to float32 behind it, or in F32; gives the name of the float32 value. */
function addTable(
  builder: ModelBuilder,
  name: string,
  shape: readonly number[],
  values: Float32Array,
  type: 'F16' | 'F32',
): string {
  if (type === 'F32') {
    builder.add([constant(name, 'float32', shape, values)]);
    return name;
  }
  builder.add([constant(`${name}.half`, 'float16', shape, encodeF16(values))]);
  builder.nodes.push(node('Cast', [`${name}.half`], name, { to: { int: 1 } }));
  return name;
}

/**
 * Writes `path` whole or not at all. Memory holds the whole packed model.
 * @param onTensor called before each layer with how many are done; may throw to stop
 * @throws TritsmithError `unsupported` for a model beyond the 2 GiB of one ONNX file
 */
export async function writeOnnxModel(
  path: string,
  configuration: ModelConfiguration,
  source: TensorSource,
  embedding: 'F16' | 'F32',
  onLayer: (done: number) => Promise<void> = () => Promise.resolve(),
): Promise<{ bodyBytes: number }> {
  const { vocabSize, hiddenSize, headSize, layers, maxPositions } = configuration;
  const builder = new ModelBuilder();
  const tableShape = [vocabSize, hiddenSize];
  const embeddings = addTable(builder, 'embedding', tableShape, await source.read(embeddingName), embedding);
  const head = configuration.tiedEmbeddings
    ? embeddings
    : addTable(builder, 'head', tableShape, await source.read(headName(configuration)), embedding);
  const { cos, sin } = rotaryTables(configuration, maxPositions);
  builder.add([
    constant('cos', 'float32', [maxPositions, headSize / 2], cos),
    constant('sin', 'float32', [maxPositions, headSize / 2], sin),
    constant('finalNorm', 'float32', [hiddenSize], await source.read(finalNormName)),
  ]);
  causalMask(builder);
  builder.nodes.push(node('Gather', [embeddings, 'input_ids'], 'hidden'));
  let hidden = 'hidden';
  for (let layer = 0; layer < layers; layer += 1) {
    await onLayer(layer);
    hidden = await addLayer(builder, layer, configuration, source, hidden);
  }
  addHead(builder, configuration, hidden, head);
  const constants = [...builder.constants.values()];
  const size = constants.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (size > largestModel)
    throw new TritsmithError('unsupported', 'This student is too large for one ONNX file.', {
      reason: `It would have ${size} bytes; a file ends at 2 GiB.`,
      remedy: 'Export it as GGUF.',
    });
  const bytes = encodeOnnx({
    name: 'student',
    nodes: builder.nodes,
    inputs: [{ name: 'input_ids', type: 'int64', shape: ['B', 'T'] }],
    outputs: [{ name: 'logits', type: 'float32', shape: ['B', 'T', vocabSize] }],
    constants,
  });
  await writeFileAtomically(path, bytes);
  const body = /^layers\.\d+\.(q|k|v|o|gate|up|down)(\.(packed|ones|turned|delta))?$/;
  return { bodyBytes: constants.reduce((sum, entry) => (body.test(entry.name) ? sum + entry.bytes.length : sum), 0) };
}
