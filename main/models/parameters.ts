/** The parameters of a model: names, shapes, and their place in one long buffer. */
import { TritsmithError } from '../contract/errors.ts';
import { hasSubln, type ModelConfiguration, type Projection, projections, projectionShape } from './configuration.ts';

export interface ParameterSpecification {
  /** Name in a Hugging Face checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly size: number;
  /** Layer index, or null outside the layers. */
  readonly layer: number | null;
  /** Name inside a layer's graph (`q`, `q.bias`, `q.subln`, `attentionNorm`…), or `embedding`, `finalNorm`, `head`. */
  readonly local: string;
  /** Weight decay applies: matrices yes, norms and biases no. */
  readonly decays: boolean;
  /** Used as ternary values by a BitLinear; what is stored is the latent full-precision weight. */
  readonly ternary: boolean;
}

const moduleOf: Record<Projection, string> = {
  q: 'self_attn.q_proj',
  k: 'self_attn.k_proj',
  v: 'self_attn.v_proj',
  o: 'self_attn.o_proj',
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
  down: 'mlp.down_proj',
};

function specification(
  name: string,
  shape: readonly number[],
  layer: number | null,
  local: string,
  ternary = false,
): ParameterSpecification {
  return {
    name,
    shape,
    size: shape.reduce((product, dimension) => product * dimension, 1),
    layer,
    local,
    decays: shape.length > 1,
    ternary,
  };
}

function layerParameters(configuration: ModelConfiguration, layer: number): ParameterSpecification[] {
  const { hiddenSize, headSize } = configuration;
  const prefix = `model.layers.${layer}.`;
  const result = [
    specification(`${prefix}input_layernorm.weight`, [hiddenSize], layer, 'attentionNorm'),
    specification(`${prefix}post_attention_layernorm.weight`, [hiddenSize], layer, 'ffnNorm'),
  ];
  for (const projection of projections) {
    const shape = projectionShape(configuration, projection);
    const module = `${prefix}${moduleOf[projection]}`;
    result.push(specification(`${module}.weight`, shape, layer, projection, configuration.ternary));
    if (configuration.qkvBias && (projection === 'q' || projection === 'k' || projection === 'v'))
      result.push(specification(`${module}.bias`, [shape[0]], layer, `${projection}.bias`));
    if (hasSubln(configuration, projection))
      result.push(specification(`${module}.subln.weight`, [shape[1]], layer, `${projection}.subln`));
  }
  if (configuration.qkNorm)
    result.push(
      specification(`${prefix}self_attn.q_norm.weight`, [headSize], layer, 'q.norm'),
      specification(`${prefix}self_attn.k_norm.weight`, [headSize], layer, 'k.norm'),
    );
  return result;
}

/** Every parameter of a model in storage order. A tied head is not listed: it is the embedding. */
export function parameterSpecifications(configuration: ModelConfiguration): ParameterSpecification[] {
  const { vocabSize, hiddenSize, layers, tiedEmbeddings } = configuration;
  return [
    specification('model.embed_tokens.weight', [vocabSize, hiddenSize], null, 'embedding'),
    ...Array.from({ length: layers }, (_, layer) => layerParameters(configuration, layer)).flat(),
    specification('model.norm.weight', [hiddenSize], null, 'finalNorm'),
    ...(tiedEmbeddings ? [] : [specification('lm_head.weight', [vocabSize, hiddenSize], null, 'head')]),
  ];
}

/** Of some consecutive layers: their parameters under the names that they have in the model, as those of a network of these layers alone. */
export function windowSpecifications(
  configuration: ModelConfiguration,
  first: number,
  count: number,
): ParameterSpecification[] {
  return parameterSpecifications(configuration).flatMap((each) =>
    each.layer !== null && each.layer >= first && each.layer < first + count
      ? [{ ...each, layer: each.layer - first }]
      : [],
  );
}

export interface ParameterCounts {
  readonly total: number;
  /** Weights of the linear layers, which become ternary in a student. */
  readonly body: number;
  readonly embedding: number;
  readonly head: number;
}

export function countParameters(configuration: ModelConfiguration): ParameterCounts {
  const specifications = parameterSpecifications(configuration);
  const sum = (filter: (specification: ParameterSpecification) => boolean): number =>
    specifications.filter(filter).reduce((total, { size }) => total + size, 0);
  return {
    total: sum(() => true),
    body: sum(({ layer, shape }) => layer !== null && shape.length === 2),
    embedding: sum(({ local }) => local === 'embedding'),
    head: sum(({ local }) => local === 'head'),
  };
}

/** One buffer per kind of state (values, gradients, moments), cut by parameter. */
export class ParameterBuffer {
  readonly specifications: readonly ParameterSpecification[];
  readonly values: Float32Array;
  readonly #offsets = new Map<string, { offset: number; size: number }>();

  /** @throws TritsmithError `out-of-memory` when the machine can't hold it */
  constructor(specifications: readonly ParameterSpecification[]) {
    this.specifications = specifications;
    let offset = 0;
    for (const { name, size } of specifications) {
      this.#offsets.set(name, { offset, size });
      offset += size;
    }
    try {
      this.values = new Float32Array(offset);
    } catch (error) {
      throw new TritsmithError('out-of-memory', 'memory.parameters', {
        parameters: offset,
        problem: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** The part of the buffer that belongs to a parameter; writing to it changes the buffer. */
  view(name: string): Float32Array {
    const range = this.#offsets.get(name);
    if (!range) throw new Error(`no parameter ${name}`);
    return this.values.subarray(range.offset, range.offset + range.size);
  }
}

export const embeddingName = 'model.embed_tokens.weight';
export const finalNormName = 'model.norm.weight';

/** Name of the matrix that turns hidden states into logits. */
export function headName(configuration: ModelConfiguration): string {
  return configuration.tiedEmbeddings ? embeddingName : 'lm_head.weight';
}
