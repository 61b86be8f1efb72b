/**
 * The compiled passes of one kind of layer, shared by all layers of that kind: they differ only in the weights that are fed. A training pass
 * backward that accepts gradients at q, k and v is compiled when it is first asked for.
 */
import { differentiate } from '../graph/differentiate.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { type KeptValue, type Passes, type Program, program, splitPasses } from '../graph/passes.ts';
import type { ActivationRounding } from '../graph/rounded-activations.ts';
import { elementCount, type EngineOptions, onCard, type Session } from '../graph/backend.ts';
import { createSession } from '../graph/session.ts';
import type { ModelConfiguration, Projection } from './configuration.ts';
import { decoderLayer, type TernaryArithmetic } from './decoder-layer.ts';

export interface NetworkOptions extends EngineOptions {
  /** `training` compiles the backward pass too. */
  readonly mode: 'inference' | 'training';
  readonly recomputeActivations?: boolean;
  /** Ternary models only. */
  readonly arithmetic?: TernaryArithmetic;
  /** Full-precision models in inference only: how the projections' inputs are rounded. */
  readonly rounding?: ActivationRounding;
}

interface InferenceProgram {
  readonly program: Program;
  readonly projectionInputs: ReadonlyMap<Projection, Value>;
}

/** A compiled pass backward, and what it needs of the forward pass. */
export interface BackwardPass {
  readonly session: Session;
  readonly kept: readonly KeptValue[];
}

/** What the layer's programs depend on. */
interface PassOptions extends Pick<NetworkOptions, 'recomputeActivations' | 'arithmetic'> {
  readonly onCard: boolean;
}

/** Builds the layer's programs; `relation` adds gradients that enter at q, k and v. */
function layerPasses(configuration: ModelConfiguration, options: PassOptions, relation: boolean): Passes {
  const graph = new Graph('layer', { streamsAttention: options.onCard });
  const layer = decoderLayer(graph, configuration, {
    ...options.arithmetic,
    codesAlone: options.onCard,
  });
  const forwardNodes = graph.nodes.length;
  const seeds = new Map<Value, Value>([[layer.output, graph.input('d.output', layer.output.shape)]]);
  if (relation)
    for (const name of ['q', 'k', 'v'] as const) seeds.set(layer[name], graph.input(`d.${name}`, layer[name].shape));
  const gradients = differentiate(graph, seeds, [layer.input, ...layer.parameters.values()]);
  const named: Record<string, Value> = {};
  for (const [value, gradient] of gradients) named[`grad.${value.name}`] = gradient;
  const { output, q, k, v } = layer;
  return splitPasses(
    'layer',
    graph,
    forwardNodes,
    { output, 'state.q': q, 'state.k': k, 'state.v': v },
    named,
    options.recomputeActivations ?? false,
  );
}

/** Bytes that one layer hands from its forward to its backward pass, for micro-batches of this size, its input included. */
export function keptLayerBytes(
  configuration: ModelConfiguration,
  tokens: { readonly batch: number; readonly length: number },
  options: PassOptions,
): number {
  const { kept } = layerPasses(configuration, options, false);
  const bindings = { B: tokens.batch, T: tokens.length, P: tokens.length };
  const bytes = (value: KeptValue): number => elementCount(value, bindings) * (value.type === 'float32' ? 4 : 1);
  const input = 4 * tokens.batch * tokens.length * configuration.hiddenSize;
  return input + kept.reduce((sum, value) => sum + bytes(value), 0);
}

const inputName = (projection: Projection) => `input.${projection}`;

function inferenceProgram(configuration: ModelConfiguration, options: NetworkOptions): InferenceProgram {
  const graph = new Graph('layer', { streamsAttention: onCard(options) });
  const { output, q, k, v, projectionInputs } = decoderLayer(
    graph,
    configuration,
    options.arithmetic,
    options.rounding,
  );
  const inputs = Object.fromEntries([...projectionInputs].map(([name, value]) => [inputName(name), value]));
  return {
    program: program('layer.inference', graph, { output, 'state.q': q, 'state.k': k, 'state.v': v, ...inputs }),
    projectionInputs: new Map(
      [...projectionInputs].map(([name, value]) => [name, { ...value, name: inputName(name) }]),
    ),
  };
}

export class LayerSessions {
  readonly forward: Session;
  /** Results of `forward` that a backward pass needs; empty where activations are recomputed, and in inference. */
  readonly kept: readonly KeptValue[];
  /** Places of `kept` by their names: buffers are called by them, so that sessions for inputs of 8 and of 4 bits share theirs. */
  readonly keptPlaces: ReadonlyMap<string, number>;
  /** Results of `forward` that are the inputs of the projections, for calibration; empty in training. */
  readonly projectionInputs: ReadonlyMap<Projection, Value>;
  readonly #configuration: ModelConfiguration;
  readonly #options: NetworkOptions;
  readonly #backward: BackwardPass | null;
  #relationBackward: BackwardPass | null = null;

  private constructor(
    configuration: ModelConfiguration,
    options: NetworkOptions,
    forward: Session,
    projectionInputs: ReadonlyMap<Projection, Value>,
    backward: BackwardPass | null,
  ) {
    this.#configuration = configuration;
    this.#options = options;
    this.forward = forward;
    this.projectionInputs = projectionInputs;
    this.kept = backward?.kept ?? [];
    this.keptPlaces = new Map(this.kept.map(({ name }, place) => [name, place]));
    this.#backward = backward;
  }

  static async create(configuration: ModelConfiguration, options: NetworkOptions): Promise<LayerSessions> {
    if (options.mode === 'inference') {
      const { program: layer, projectionInputs } = inferenceProgram(configuration, options);
      return new LayerSessions(configuration, options, await createSession(layer, options), projectionInputs, null);
    }
    const { forward, backward, kept } = layerPasses(configuration, { ...options, onCard: onCard(options) }, false);
    const session = await createSession(forward, options);
    const back = { session: await createSession(backward, options), kept };
    return new LayerSessions(configuration, options, session, new Map(), back);
  }

  /** @param relation whether gradients enter at q, k and v. @throws Error in inference */
  async backward(relation: boolean): Promise<BackwardPass> {
    if (!this.#backward) throw new Error('an inference network has no backward pass');
    if (!relation) return this.#backward;
    if (!this.#relationBackward) {
      const options = { ...this.#options, onCard: onCard(this.#options) };
      const { backward, kept } = layerPasses(this.#configuration, options, true);
      this.#relationBackward = { session: await createSession(backward, this.#options), kept };
    }
    return this.#relationBackward;
  }

  async release(): Promise<void> {
    await this.forward.release();
    await this.#backward?.session.release();
    await this.#relationBackward?.session.release();
  }
}
