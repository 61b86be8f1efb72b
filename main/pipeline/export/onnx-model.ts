/**
 * A model as an ONNX graph: token ids `[B, T]` in, logits `[B, T, V]` out, no key-value cache. Ternary matrices are 2-bit
 * `com.microsoft.MatMulNBits` with scale 1 on whole-number activations, which is exact; where the rows are no multiple of 16, `MatMulInteger`.
 */
import { encodeF16 } from '../../formats/half-precision.ts';
import { Graph, type GraphNode, type Value } from '../../graph/graph.ts';
import type { ConstantType, OnnxConstantHeader, OnnxGraph, OnnxNode } from '../../graph/onnx-format.ts';
import { linear, rmsNorm, scale } from '../../graph/operations.ts';
import {
  type LayerKind,
  layerKind,
  type ModelConfiguration,
  type Projection,
  projections,
  projectionShape,
  rotarySize,
  scaleKind,
  scaleShape,
} from '../../models/configuration.ts';
import { decoderLayer, deltaName } from '../../models/decoder-layer.ts';
import { embeddingName, finalNormName, headName, parameterSpecifications } from '../../models/parameters.ts';
import { rotaryTables } from '../../models/rotary-tables.ts';
import { readTernary, type TensorSource } from './tensor-source.ts';

/** A constant whose values are made when they are written. */
export interface OnnxModelConstant extends OnnxConstantHeader {
  /** Called once, in the order of the constants. */
  readonly data: () => ArrayBufferView | Promise<ArrayBufferView>;
}

const microsoft = 'com.microsoft';

function constant(
  name: string,
  type: ConstantType,
  shape: readonly number[],
  data: OnnxModelConstant['data'],
): OnnxModelConstant {
  return { name, type, shape, data };
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
  const code = (index: number): number => values[index]! + 2;
  for (let at = 0, index = 0; at < packed.length; at += 1, index += 4)
    packed[at] = code(index) | (code(index + 1) << 2) | (code(index + 2) << 4) | (code(index + 3) << 6);
  return packed;
}

/** `[O, K]` as `[K, O]`, a byte a value. */
function turned(values: Float32Array, [rows, columns]: readonly [number, number]): Int8Array {
  const result = new Int8Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1) result[column * rows + row] = values[row * columns + column]!;
  return result;
}

interface TernaryProduct {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxModelConstant[];
}

/**
 * `integers T^T` for a ternary matrix `[O, K]`; `name` is unique in the model, `values` makes the matrix when it is written. With scales `[O, G]` for groups of
 * columns, which are known once the matrix was made: `integers (T delta)^T`.
 */
function ternaryProduct(
  name: string,
  input: string,
  output: string,
  values: () => Promise<Float32Array>,
  shape: readonly [number, number],
  grouped: { readonly columns: number; readonly scales: () => Float32Array } | null,
): TernaryProduct {
  const [rows, columns] = shape;
  const block = blockSize(grouped?.columns ?? columns);
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
        constant(`${name}.packed`, 'uint8', [rows, blocks, block / 4], async () => packTwoBits(await values())),
        constant(`${name}.ones`, 'float32', [rows, blocks], () => {
          const scales = grouped?.scales();
          return new Float32Array(rows * blocks).map(
            (_, at) => scales?.[Math.floor((at * block) / grouped!.columns)] ?? 1,
          );
        }),
      ],
    };
  }
  return {
    nodes: [
      node('Cast', [input], `${name}.int8`, { to: { int: 3 } }),
      node('MatMulInteger', [`${name}.int8`, `${name}.turned`], `${name}.int32`),
      node('Cast', [`${name}.int32`], output, { to: { int: 1 } }),
    ],
    constants: [constant(`${name}.turned`, 'int8', [columns, rows], async () => turned(await values(), shape))],
  };
}

/** Collects the model's nodes and constants; names of the parts get a prefix. */
class ModelBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly constants = new Map<string, OnnxModelConstant>();

  add(constants: Iterable<OnnxModelConstant>): void {
    for (const entry of constants) this.constants.set(entry.name, entry);
  }

  /** Adds the nodes of a graph; `names` says what its inputs are called in the model. */
  graph(
    graph: Graph,
    prefix: string,
    names: ReadonlyMap<string, string>,
    replace?: (entry: GraphNode, rename: (name: string) => string) => boolean,
  ): void {
    for (const { name, type, shape, bytes } of graph.constants.values())
      this.add([constant(name, type, shape, () => bytes)]);
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

/**
 * `[T, T]`: 0 where a token may look, -1e9 elsewhere; made from the length of `ids`. One for each window that a layer has, besides that of
 * layers without one.
 */
function masks(builder: ModelBuilder, { layerKinds }: ModelConfiguration): void {
  const integer = (name: string, values: number[], shape: number[]): OnnxModelConstant =>
    constant(name, 'int64', shape, () => BigInt64Array.from(values, BigInt));
  builder.add([
    integer('mask.zero', [0], []),
    integer('mask.one', [1], []),
    integer('mask.axis', [1], [1]),
    constant('mask.may', 'float32', [], () => Float32Array.of(0)),
    constant('mask.not', 'float32', [], () => Float32Array.of(-1e9)),
  ]);
  builder.nodes.push(
    node('Shape', ['input_ids'], 'mask.shape'),
    node('Gather', ['mask.shape', 'mask.one'], 'mask.length'),
    node('Range', ['mask.zero', 'mask.length', 'mask.one'], 'mask.columns'),
    node('Unsqueeze', ['mask.columns', 'mask.axis'], 'mask.rows'),
    node('Greater', ['mask.columns', 'mask.rows'], 'mask.ahead'),
    node('Where', ['mask.ahead', 'mask.not', 'mask.may'], maskName(null)),
  );
  for (const window of new Set(layerKinds.map((kind) => kind.window))) {
    if (window === null) continue;
    const name = maskName(window);
    builder.add([integer(`${name}.size`, [window], [])]);
    builder.nodes.push(
      node('Sub', ['mask.rows', `${name}.size`], `${name}.last`),
      node('LessOrEqual', ['mask.columns', `${name}.last`], `${name}.behind`),
      node('Where', [`${name}.behind`, 'mask.not', maskName(null)], name),
    );
  }
}

const maskName = (window: number | null): string => (window === null ? 'mask' : `mask.${window}`);
/** Name of a rotary table of the layers of a kind. */
const tableName = (table: 'cos' | 'sin', rope: LayerKind['rope']): string =>
  rope === 'global' ? table : `${table}.${rope}`;

function addLayer(
  builder: ModelBuilder,
  layer: number,
  configuration: ModelConfiguration,
  source: TensorSource,
  input: string,
): string {
  const graph = new Graph('layer');
  const built = decoderLayer(graph, configuration, { products: 'float32' });
  const { window, rope } = layerKind(configuration, layer);
  const prefix = `layers.${layer}.`;
  const output = `${prefix}output`;
  /** Names of the ternary parameters by what they are called in the layer. */
  const ternary = new Map<string, string>();
  for (const specification of parameterSpecifications(configuration).filter((entry) => entry.layer === layer)) {
    const { local, name, shape, scaleOf } = specification;
    if (specification.ternary) ternary.set(local, name);
    else if (scaleOf === null) builder.add([constant(`${prefix}${local}`, 'float32', shape, () => source.read(name))]);
  }
  const { group } = configuration.quantisation.weights;
  /** Values of the layer that are a ternary matrix with its scales: what makes them of it is left out, as the product takes the matrix itself. */
  const scaled = new Map<string, Projection>();
  const matrixAt = (name: string | undefined): Projection | undefined =>
    projections.find((projection) => name === projection && ternary.has(projection)) ?? scaled.get(name ?? '');
  const names = new Map([
    ['x', input],
    ['mask', maskName(window)],
    ['cos', tableName('cos', rope)],
    ['sin', tableName('sin', rope)],
    [built.output.name, output],
  ]);
  builder.graph(graph, prefix, names, (entry, rename) => {
    const made = matrixAt(entry.inputs[0]);
    if (made !== undefined && (entry.operator === 'Reshape' || entry.operator === 'Mul')) {
      scaled.set(entry.outputs[0]!, made);
      return true;
    }
    const local = matrixAt(entry.inputs[1]);
    if (entry.operator !== 'FusedMatMul' || local === undefined) return false;
    const shape = projectionShape(configuration, local);
    // The scales are known once the matrix was rounded; their constant comes after that of the matrix.
    let scales: Float32Array = new Float32Array();
    const values = async (): Promise<Float32Array> => {
      const found = await readTernary(source, ternary.get(local)!, shape, configuration.quantisation);
      ({ scales } = found);
      return found.values;
    };
    const product = ternaryProduct(
      `${prefix}${local}`,
      rename(entry.inputs[0]!),
      rename(entry.outputs[0]!),
      values,
      shape,
      typeof group === 'number' ? { columns: group, scales: () => scales } : null,
    );
    builder.nodes.push(...product.nodes);
    builder.add(product.constants);
    if (scaleKind(configuration.quantisation) !== 'columns')
      builder.add([
        constant(
          `${prefix}${deltaName(local)}`,
          'float32',
          scaleShape(configuration.quantisation, shape),
          () => scales,
        ),
      ]);
    return true;
  });
  return output;
}

function addHead(builder: ModelBuilder, configuration: ModelConfiguration, hidden: string, head: string): void {
  const { hiddenSize, vocabSize, rmsNormEpsilon, logitScale } = configuration;
  const graph = new Graph('head');
  const x = graph.input('x', ['B', 'T', hiddenSize]);
  const normed = rmsNorm(graph, x, graph.input('norm', [hiddenSize]), rmsNormEpsilon);
  const logits: Value = linear(graph, scale(graph, normed, logitScale), graph.input('head', [vocabSize, hiddenSize]));
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
  values: () => Promise<Float32Array>,
  type: 'F16' | 'F32',
): string {
  if (type === 'F32') {
    builder.add([constant(name, 'float32', shape, values)]);
    return name;
  }
  builder.add([constant(`${name}.half`, 'float16', shape, async () => encodeF16(await values()))]);
  builder.nodes.push(node('Cast', [`${name}.half`], name, { to: { int: 1 } }));
  return name;
}

/** The whole model; nothing is read before a constant's values are asked for. */
export function onnxModel(
  configuration: ModelConfiguration,
  source: TensorSource,
  embedding: 'F16' | 'F32',
): OnnxGraph<OnnxModelConstant> {
  const { vocabSize, hiddenSize, layers, maxPositions, embeddingScale } = configuration;
  const builder = new ModelBuilder();
  const table = (name: string, parameter: string): string =>
    addTable(builder, name, [vocabSize, hiddenSize], () => source.read(parameter), embedding);
  const embeddings = table('embedding', embeddingName);
  const head = configuration.tiedEmbeddings ? embeddings : table('head', headName(configuration));
  for (const rope of new Set(configuration.layerKinds.map((kind) => kind.rope))) {
    const { cos, sin } = rotaryTables(configuration, maxPositions, rope);
    const shape = [maxPositions, rotarySize(configuration) / 2];
    builder.add([
      constant(tableName('cos', rope), 'float32', shape, () => cos),
      constant(tableName('sin', rope), 'float32', shape, () => sin),
    ]);
  }
  builder.add([constant('finalNorm', 'float32', [hiddenSize], () => source.read(finalNormName))]);
  masks(builder, configuration);
  if (embeddingScale === 1) builder.nodes.push(node('Gather', [embeddings, 'input_ids'], 'hidden'));
  else {
    builder.add([constant('embedding.scale', 'float32', [], () => Float32Array.of(embeddingScale))]);
    builder.nodes.push(
      node('Gather', [embeddings, 'input_ids'], 'rows'),
      node('Mul', ['rows', 'embedding.scale'], 'hidden'),
    );
  }
  let hidden = 'hidden';
  for (let layer = 0; layer < layers; layer += 1) hidden = addLayer(builder, layer, configuration, source, hidden);
  addHead(builder, configuration, hidden, head);
  // Shapes of what a product takes as it is are read by no node.
  const read = new Set(builder.nodes.flatMap(({ inputs }) => inputs));
  return {
    name: 'student',
    nodes: builder.nodes,
    inputs: [{ name: 'input_ids', type: 'int64', shape: ['B', 'T'] }],
    outputs: [{ name: 'logits', type: 'float32', shape: ['B', 'T', vocabSize] }],
    constants: [...builder.constants.values()].filter(({ name }) => read.has(name)),
  };
}
