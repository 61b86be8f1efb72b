/** The parameters of a model: names, shapes, and their place in one long buffer. */
import { TritsmithError } from '../contract/errors.ts';
import { architectureOf } from './architectures/index.ts';
import {
  hasSubln,
  type ModelConfiguration,
  type Projection,
  projections,
  projectionShape,
  scaleCount,
} from './configuration.ts';

/** Where a checkpoint keeps a parameter that it does not store as we use it. */
export interface StoredForm {
  /** Tensor that holds the parameter's rows among others. */
  readonly name: string;
  /** First of the parameter's rows in it, and rows of the whole tensor. */
  readonly firstRow: number;
  readonly rows: number;
}

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
  /** Of learned scales (docs/method.md, 2.10): name of the ternary matrix whose scales they are. No graph takes them as they are: `TernaryWeights` does. */
  readonly scaleOf: string | null;
  /** What is added to the values of a checkpoint, and taken off again when one is written. */
  readonly storedOffset: number;
  /** Null: under its own name, whole. */
  readonly stored: StoredForm | null;
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
  more: Partial<ParameterSpecification> = {},
): ParameterSpecification {
  return {
    name,
    shape,
    size: shape.reduce((product, dimension) => product * dimension, 1),
    layer,
    local,
    decays: shape.length > 1,
    ternary: false,
    scaleOf: null,
    storedOffset: 0,
    stored: null,
    ...more,
  };
}

/** Where the rows of a projection lie in a matrix that holds several; null: it has a matrix of its own. */
function fusedForm(configuration: ModelConfiguration, projection: Projection, prefix: string): StoredForm | null {
  const { fused } = architectureOf(configuration.architecture).checkpoint;
  const found = fused.find(({ projections }) => projections.includes(projection));
  if (!found) return null;
  const rows = found.projections.map((name) => projectionShape(configuration, name)[0]);
  const before = rows.slice(0, found.projections.indexOf(projection));
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  return { name: `${prefix}${found.module}.weight`, firstRow: sum(before), rows: sum(rows) };
}

/** Name of the parameter that holds the learned scales of a matrix; it stands behind the matrix. */
export function learnedScaleName(matrix: string): string {
  return matrix.replace(/\.weight$/, '.delta');
}

/** Local names of a layer's own norms. */
export function layerNorms({ norms }: ModelConfiguration): readonly string[] {
  if (norms === 'before') return ['attentionNorm', 'ffnNorm'];
  const after = ['attentionPostNorm', 'ffnPostNorm'];
  return norms === 'after' ? after : ['attentionNorm', 'attentionPostNorm', 'ffnNorm', 'ffnPostNorm'];
}

/** Values of the norms of queries and keys. */
export function qkNormSizes({ qkNorm, heads, kvHeads, headSize }: ModelConfiguration): { q: number; k: number } | null {
  if (qkNorm === 'none') return null;
  return qkNorm === 'head' ? { q: headSize, k: headSize } : { q: heads * headSize, k: kvHeads * headSize };
}

function layerParameters(configuration: ModelConfiguration, layer: number): ParameterSpecification[] {
  const { hiddenSize } = configuration;
  const prefix = `model.layers.${layer}.`;
  const { norms, normOffset, subln } = architectureOf(configuration.architecture).checkpoint;
  const result = layerNorms(configuration).map((local) =>
    specification(`${prefix}${norms[local]}.weight`, [hiddenSize], layer, local, { storedOffset: normOffset }),
  );
  for (const projection of projections) {
    const shape = projectionShape(configuration, projection);
    const module = `${prefix}${moduleOf[projection]}`;
    result.push(
      specification(`${module}.weight`, shape, layer, projection, {
        ternary: configuration.ternary,
        stored: fusedForm(configuration, projection, prefix),
      }),
    );
    if (configuration.ternary && configuration.quantisation.weights.scale === 'learned') {
      const scaleOf = `${module}.weight`;
      const count = scaleCount(configuration.quantisation, shape);
      result.push(specification(learnedScaleName(scaleOf), [count], layer, `${projection}.delta`, { scaleOf }));
    }
    if (configuration.qkvBias && (projection === 'q' || projection === 'k' || projection === 'v'))
      result.push(specification(`${module}.bias`, [shape[0]], layer, `${projection}.bias`));
    if (hasSubln(configuration, projection)) {
      const norm = subln?.[projection] === undefined ? `${module}.subln` : `${prefix}${subln[projection]}`;
      result.push(specification(`${norm}.weight`, [shape[1]], layer, `${projection}.subln`));
    }
  }
  const sizes = qkNormSizes(configuration);
  if (sizes)
    for (const name of ['q', 'k'] as const)
      result.push(
        specification(`${prefix}self_attn.${name}_norm.weight`, [sizes[name]], layer, `${name}.norm`, {
          storedOffset: normOffset,
        }),
      );
  return result;
}

/** Every parameter of a model in storage order. A tied head is not listed: it is the embedding. */
export function parameterSpecifications(configuration: ModelConfiguration): ParameterSpecification[] {
  const { architecture, vocabSize, hiddenSize, layers, tiedEmbeddings } = configuration;
  const { normOffset } = architectureOf(architecture).checkpoint;
  return [
    specification('model.embed_tokens.weight', [vocabSize, hiddenSize], null, 'embedding'),
    ...Array.from({ length: layers }, (_, layer) => layerParameters(configuration, layer)).flat(),
    specification('model.norm.weight', [hiddenSize], null, 'finalNorm', { storedOffset: normOffset }),
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

  /**
   * @param values of another buffer, where this one gives the same parameters other places in a model; default: zeros of its own
   * @throws TritsmithError `out-of-memory` when the machine can't hold it
   */
  constructor(specifications: readonly ParameterSpecification[], values?: Float32Array) {
    this.specifications = specifications;
    let offset = 0;
    for (const { name, size } of specifications) {
      this.#offsets.set(name, { offset, size });
      offset += size;
    }
    try {
      this.values = values ?? new Float32Array(offset);
    } catch (error) {
      throw new TritsmithError('out-of-memory', 'memory.parameters', {
        parameters: offset,
        problem: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** The part of the buffer that belongs to a parameter; writing to it changes the buffer. */
  view(name: string): Float32Array {
    const { offset, size } = this.#place(name);
    return this.values.subarray(offset, offset + size);
  }

  /** Where a parameter begins among all values. */
  offset(name: string): number {
    return this.#place(name).offset;
  }

  #place(name: string): { offset: number; size: number } {
    const place = this.#offsets.get(name);
    if (!place) throw new Error(`no parameter ${name}`);
    return place;
  }
}

export const embeddingName = 'model.embed_tokens.weight';
export const finalNormName = 'model.norm.weight';

/** Name of the matrix that turns hidden states into logits. */
export function headName({ tiedEmbeddings }: Pick<ModelConfiguration, 'tiedEmbeddings'>): string {
  return tiedEmbeddings ? embeddingName : 'lm_head.weight';
}
