/** One decoder layer as a graph: attention and gated feed-forward blocks with residuals, full precision or BitLinear with SubLN. */
import type { Graph, Value } from '../graph/graph.ts';
import {
  add,
  addBias,
  attention,
  attentionReach,
  geGlu,
  hadamard,
  headNorm,
  linear,
  quantiseActivation,
  type GradientArithmetic,
  type QuantisedActivation,
  reluSquaredGlu,
  rmsNorm,
  rotary,
  scale,
  swiGlu,
  ternaryLinear,
} from '../graph/operations.ts';
import { type ActivationRounding, roundActivations, tabulatedGeGlu } from '../graph/rounded-activations.ts';
import { activationsOf } from '../contract/quantisation.ts';
import {
  hadamardBlock,
  hasSubln,
  type ModelConfiguration,
  type Projection,
  projectionShape,
  rotarySize,
  scaleKind,
  scaleShape,
} from './configuration.ts';
import { layerNorms, qkNormSizes } from './parameters.ts';

export interface DecoderLayer {
  /** Layer input `[B, T, hidden]`. */
  readonly input: Value;
  readonly output: Value;
  /** After qk-norm and RoPE, key-value heads not repeated: `[B, T, H*D]`, `[B, T, Hk*D]`, `[B, T, Hk*D]`. */
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** Trainable values by local name; a ternary weight stands for the gradient of its latent weight. */
  readonly parameters: ReadonlyMap<string, Value>;
  /** Input of each projection before SubLN and quantisation, for calibration. */
  readonly projectionInputs: ReadonlyMap<Projection, Value>;
}

/** The arithmetic in which a ternary layer is computed. */
export interface TernaryArithmetic {
  /** Going forward: the same numbers either way, but weights between latent and ternary (annealing) need float32. Default `int8`. */
  readonly products?: 'int8' | 'float32';
  /** Going backward; `int16` needs int8 products, and is `float32` where a matrix has several scales and for inputs of 4 bits. Default `float32`. */
  readonly gradients?: GradientArithmetic;
  /** See `TernaryWeight`; for cards. */
  readonly codesAlone?: boolean;
}

/** Forward products of a model: where a row has several scales, the sums under each can't stay whole numbers. */
export function productsOf(
  { quantisation }: Pick<ModelConfiguration, 'quantisation'>,
  { products = 'int8' }: TernaryArithmetic = {},
): 'int8' | 'float32' {
  return scaleKind(quantisation) === 'columns' ? 'float32' : products;
}

const gatedUnits = { silu: swiGlu, 'gelu-tanh': geGlu, 'relu-squared': reluSquaredGlu } as const;

/** Name of the graph input that holds a ternary weight as int8 `[K, O]`. */
export function transposedName(projection: Projection): string {
  return `${projection}.transposed`;
}

/** Name of the graph input that holds a ternary weight's scales (`scaleShape`). */
export function deltaName(projection: Projection): string {
  return `${projection}.delta`;
}

/**
 * Adds a decoder layer to the graph. Inputs besides the parameters: `x`, what rows see (`attentionReach`), `cos` and `sin` [P, R/2].
 * @param rounding how another program rounds the projections' inputs of a full-precision layer (and looks up its gated unit); it has no gradient
 */
export function decoderLayer(
  graph: Graph,
  configuration: ModelConfiguration,
  arithmetic: TernaryArithmetic = {},
  rounding: ActivationRounding = 'none',
): DecoderLayer {
  const { hiddenSize, heads, kvHeads, headSize, rmsNormEpsilon } = configuration;
  const { bits } = activationsOf(configuration.quantisation);
  const gradients =
    scaleKind(configuration.quantisation) === 'tensor' && bits === 8 ? (arithmetic.gradients ?? 'float32') : 'float32';
  const products = productsOf(configuration, arithmetic);
  const parameters = new Map<string, Value>();
  const projectionInputs = new Map<Projection, Value>();
  const parameter = (local: string, shape: readonly number[]): Value => {
    const value = graph.input(local, shape);
    parameters.set(local, value);
    return value;
  };

  const quantise = (input: Value, name: Projection): QuantisedActivation =>
    quantiseActivation(graph, hadamard(graph, input, hadamardBlock(configuration, name)), gradients, bits);

  /** Projects one shared input; without SubLN it is quantised once for all of them. */
  const project = (input: Value, names: readonly Projection[]): Value[] => {
    let shared: QuantisedActivation | undefined;
    return names.map((name) => {
      projectionInputs.set(name, input);
      const shape = projectionShape(configuration, name);
      const normed = hasSubln(configuration, name)
        ? rmsNorm(graph, input, parameter(`${name}.subln`, [shape[1]]), rmsNormEpsilon)
        : input;
      const weight = parameter(name, shape);
      if (!configuration.ternary) return linear(graph, roundActivations(graph, normed, rounding), weight);
      // Projections that share an input are turned alike: not at all.
      const quantised = normed === input ? (shared ??= quantise(input, name)) : quantise(normed, name);
      return ternaryLinear(graph, quantised, {
        values: weight,
        transposed: products === 'int8' ? graph.input(transposedName(name), [shape[1], shape[0]], 'int8') : null,
        codesAlone: arithmetic.codesAlone ?? false,
        delta: graph.input(deltaName(name), scaleShape(configuration.quantisation, shape)),
      });
    });
  };

  const input = graph.input('x', ['B', 'T', hiddenSize]);
  const reach = attentionReach(graph);
  const rotated = rotarySize(configuration);
  const tables = { cos: graph.input('cos', ['P', rotated / 2]), sin: graph.input('sin', ['P', rotated / 2]) };
  const rotate = (x: Value, count: number): Value =>
    rotary(graph, x, tables, rotated === headSize ? null : { heads: count, rotated });

  const norms = layerNorms(configuration);
  /** The layer's own norm of that name; a family that has none there hands the value through. */
  const norm = (local: string, value: Value): Value =>
    norms.includes(local) ? rmsNorm(graph, value, parameter(local, [hiddenSize]), rmsNormEpsilon) : value;
  const addTo = (residual: Value, value: Value): Value =>
    add(graph, residual, scale(graph, value, configuration.residualScale));

  const attentionInput = norm('attentionNorm', input);
  let [q, k, v] = project(attentionInput, ['q', 'k', 'v']) as [Value, Value, Value];
  if (configuration.qkvBias) {
    q = addBias(graph, q, parameter('q.bias', [heads * headSize]));
    k = addBias(graph, k, parameter('k.bias', [kvHeads * headSize]));
    v = addBias(graph, v, parameter('v.bias', [kvHeads * headSize]));
  }
  const sizes = qkNormSizes(configuration);
  if (sizes) {
    q = headNorm(graph, q, parameter('q.norm', [sizes.q]), (heads * headSize) / sizes.q, rmsNormEpsilon);
    k = headNorm(graph, k, parameter('k.norm', [sizes.k]), (kvHeads * headSize) / sizes.k, rmsNormEpsilon);
  }
  q = rotate(q, heads);
  k = rotate(k, kvHeads);
  const attended = attention(graph, q, k, v, reach, { heads, kvHeads, headSize, scale: configuration.attentionScale });
  const afterAttention = addTo(input, norm('attentionPostNorm', project(attended, ['o'])[0]!));

  const ffnInput = norm('ffnNorm', afterAttention);
  const [gate, up] = project(ffnInput, ['gate', 'up']) as [Value, Value];
  const unit =
    configuration.activation === 'gelu-tanh' && rounding !== 'none'
      ? tabulatedGeGlu
      : gatedUnits[configuration.activation];
  const gated = unit(graph, gate, up);
  const output = addTo(afterAttention, norm('ffnPostNorm', project(gated, ['down'])[0]!));
  return { input, output, q, k, v, parameters, projectionInputs };
}
