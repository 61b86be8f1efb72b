/**
 * A model that runs: the layers' sessions (layer-sessions.ts), executed layer by layer on the caller's buffers. Between forward and backward pass live the layers' inputs and, unless
 * activations are recomputed, what each layer's forward session handed out.
 */
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import { activationsOf, withActivations } from '../contract/quantisation.ts';
import { BufferPool } from '../graph/buffer-pool.ts';
import type { KeptValue } from '../graph/passes.ts';
import {
  type BackendMemory,
  type Bindings,
  type ElementBuffer,
  elementCount,
  memoryOf,
  onCard,
  threadCount,
} from '../graph/backend.ts';
import { layerKind, type ModelConfiguration, type Projection, stateWidths } from './configuration.ts';
import { productsOf } from './decoder-layer.ts';
import { addEmbeddingGradient, embed } from './embedding.ts';
import { LayerSessions, type NetworkOptions } from './layer-sessions.ts';
import type { ParameterBuffer, ParameterSpecification } from './parameters.ts';
import { Positions } from './positions.ts';
import { type TernaryCounts, TernaryWeights } from './ternary-weights.ts';

/** Token ids `[B, T]`, padded on the right; padding may be any valid id, because a causal model never looks ahead. */
export interface TokenBatch {
  readonly ids: Int32Array;
  readonly batch: number;
  readonly length: number;
}

/** Inputs of the first layer `[B, T, hidden]`, for a network that is some layers in the middle of a model: it has no embedding. */
export interface HiddenBatch {
  readonly hidden: Float32Array;
  readonly batch: number;
  readonly length: number;
}

/** Queries, keys and values of one layer (after qk-norm and RoPE), `[B, T, width]` each; or gradients of them. */
export interface AttentionStates {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

const within = (value: number, begin: number, end: number): boolean => value >= begin && value < end;

type BatchShape = Pick<TokenBatch, 'batch' | 'length'>;

/** 65 536 products of an unsigned and a signed byte fit into 32 bits. */
const mostFixedPointTokens = 65_536;

export class Network {
  readonly configuration: ModelConfiguration;
  readonly parameters: ParameterBuffer;
  readonly #options: NetworkOptions;
  #sessions: LayerSessions;
  /** All that were compiled, by the bits of their inputs. */
  readonly #sessionsOf: Map<8 | 4, LayerSessions>;
  /** Local name -> specification, per layer; without learned scales, which no graph takes. */
  readonly #layers: Map<string, ParameterSpecification>[];
  readonly #ternaryWeights: TernaryWeights | null;
  /** Keeps weights, what lives between layers and passes, and gradients. */
  readonly #memory: BackendMemory;
  readonly #pool: BufferPool;
  readonly #positions: Positions;
  #current: TokenBatch | HiddenBatch | null = null;
  /** Where gradients were last left. */
  #gradients: ParameterBuffer | null = null;

  private constructor(
    configuration: ModelConfiguration,
    parameters: ParameterBuffer,
    options: NetworkOptions,
    sessions: LayerSessions,
  ) {
    this.configuration = configuration;
    this.parameters = parameters;
    this.#options = options;
    this.#sessions = sessions;
    this.#sessionsOf = new Map([[activationsOf(configuration.quantisation).bits, sessions]]);
    this.#memory = memoryOf(options);
    this.#pool = new BufferPool(this.#memory);
    this.#positions = new Positions(configuration, this.#memory, onCard(options));
    this.#layers = Array.from({ length: configuration.layers }, () => new Map<string, ParameterSpecification>());
    for (const specification of parameters.specifications)
      if (specification.layer !== null && specification.scaleOf === null)
        this.#layers[specification.layer]!.set(specification.local, specification);
    this.#ternaryWeights = configuration.ternary
      ? new TernaryWeights(
          parameters,
          configuration,
          productsOf(configuration, options.arithmetic),
          options.mode === 'training',
        )
      : null;
    for (const layer of this.#layers)
      for (const [local, { name, ternary }] of layer)
        this.#memory.keep(
          ...(ternary
            ? Object.values(this.#ternaryWeights!.feeds(local as Projection, name))
            : [this.parameters.view(name)]),
        );
  }

  /** Compiles the sessions. `parameters` stay the caller's and may change between calls; see `refreshTernary`. */
  static async create(
    configuration: ModelConfiguration,
    parameters: ParameterBuffer,
    options: NetworkOptions,
  ): Promise<Network> {
    native.setThreads(threadCount(options));
    const network = new Network(configuration, parameters, options, await LayerSessions.create(configuration, options));
    network.refreshTernary();
    return network;
  }

  /** Rounds the inputs of the ternary layers to so many bits from now on, while training, whatever the model's own are. Compiled when first asked for. */
  async useActivationBits(bits: 8 | 4): Promise<void> {
    const { quantisation } = this.configuration;
    let sessions = this.#sessionsOf.get(bits);
    if (!sessions) {
      const activations = { ...activationsOf(quantisation), bits };
      const configuration = { ...this.configuration, quantisation: withActivations(quantisation, activations) };
      sessions = await LayerSessions.create(configuration, this.#options);
      this.#sessionsOf.set(bits, sessions);
    }
    this.#sessions = sessions;
  }

  /**
   * Quantises the latent weights again; to be called after they changed.
   * @param share below 1 while annealing: how far the weights that compute have gone from the latent ones (0) to the ternary ones (1)
   * @param sharpness below infinity while codes are soft (docs/method.md, 3.1)
   * @returns counts over the ternary matrices of each layer, `flips` since the last call (of a training network); empty for a full-precision model
   */
  refreshTernary(share = 1, sharpness = Infinity): TernaryCounts[] {
    const counts = this.#ternaryWeights?.refresh(share, sharpness) ?? [];
    this.#memory.changed(this.parameters.values, ...(this.#ternaryWeights?.arrays() ?? []));
    return counts;
  }

  /** Ends a step's passes backward whose last one did not (`backward`): `collectGradients`, and with soft codes turns gradients with respect to them into those of the latent weights. */
  async finishGradients(gradients: ParameterBuffer): Promise<void> {
    await this.collectGradients(gradients);
    this.#ternaryWeights?.chainSoft(gradients);
  }

  /** Keeps the present codes, two bits each, for `countMoved`; of a training network. Nothing to keep in a full-precision model. */
  markTernary(): void {
    this.#ternaryWeights?.mark();
  }

  /** Weights whose code is another one than at `markTernary`. */
  countMoved(): number {
    return this.#ternaryWeights?.countMoved() ?? 0;
  }

  /** Ternary values `[O, K]` and the scale (of several: the mean) of a matrix, as the last `refreshTernary` left them; of a training network. */
  ternary(name: string): { values: Float32Array; delta: number } {
    if (!this.#ternaryWeights) throw new Error(`${name} is not ternary`);
    return this.#ternaryWeights.read(name);
  }

  #layerFeeds(layer: number, tokens: BatchShape): { bindings: Bindings; feeds: Record<string, ElementBuffer> } {
    const { rope, window } = layerKind(this.configuration, layer);
    const { cos, sin, positions } = this.#positions.rotary(tokens.length, rope);
    const feeds: Record<string, ElementBuffer> = { cos, sin, ...this.#positions.reach(tokens.length, window) };
    for (const [local, { name, ternary }] of this.#layers[layer]!)
      if (ternary) Object.assign(feeds, this.#ternaryWeights!.feeds(local as Projection, name));
      else feeds[local] = this.parameters.view(name);
    return { bindings: { B: tokens.batch, T: tokens.length, P: positions }, feeds };
  }

  /** Input of a layer: kept for the backward pass when training, else two buffers taking turns. */
  #hidden(layer: number, tokens: BatchShape): Float32Array {
    const name = this.#options.mode === 'training' ? `hidden.${layer}` : `hidden.${layer % 2}`;
    const hidden = this.#pool.take(name, tokens.batch * tokens.length * this.configuration.hiddenSize);
    this.#memory.keep(hidden);
    return hidden;
  }

  /** Buffer of a value that lives from a layer's forward to its backward pass. */
  #kept(layer: number, value: KeptValue, bindings: Bindings): ElementBuffer {
    const name = `${layer}.${this.#sessions.keptPlaces.get(value.name)}`;
    const count = elementCount(value, bindings);
    const buffer = value.type === 'float32' ? this.#pool.take(name, count) : this.#pool.takeBytes(name, count);
    this.#memory.keep(buffer);
    return value.type === 'int8' ? new Int8Array(buffer.buffer, buffer.byteOffset, count) : buffer;
  }

  #stateBuffers(prefix: string, tokens: BatchShape): AttentionStates {
    const rows = tokens.batch * tokens.length;
    const widths = stateWidths(this.configuration);
    const buffer = (kind: keyof AttentionStates): Float32Array => {
      const taken = this.#pool.take(`${prefix}.${kind}`, rows * widths[kind]);
      this.#memory.keep(taken);
      return taken;
    };
    return { q: buffer('q'), k: buffer('k'), v: buffer('v') };
  }

  /** `forward` whose results are left where the backend computes, for what computes on there; `BackendMemory.read` brings them. */
  forwardThere(
    tokens: TokenBatch | HiddenBatch,
    capture?: number,
  ): Promise<{ hidden: Float32Array; states: AttentionStates | null }> {
    return this.#forward(tokens, capture);
  }

  /**
   * Runs the trunk, from token ids or from the inputs of its first layer.
   * @param capture layer whose queries, keys and values are wanted
   * @param visit (inference only) sees the inputs of each layer's projections, for calibration
   * @param skip (inference only) layers that are left out: their input goes on to the next
   * @returns `hidden` `[B, T, hidden]` before the final norm, and the captured states; valid until the next call
   */
  async forward(
    tokens: TokenBatch | HiddenBatch,
    capture?: number,
    visit?: (layer: number, inputs: ReadonlyMap<Projection, Float32Array>) => void,
    skip?: ReadonlySet<number>,
  ): Promise<{ hidden: Float32Array; states: AttentionStates | null }> {
    const passed = await this.#forward(tokens, capture, visit, skip);
    const { hidden, states } = passed;
    await this.#memory.read(hidden, ...(states ? [states.q, states.k, states.v] : []));
    return passed;
  }

  async #forward(
    tokens: TokenBatch | HiddenBatch,
    capture?: number,
    visit?: (layer: number, inputs: ReadonlyMap<Projection, Float32Array>) => void,
    skip?: ReadonlySet<number>,
  ): Promise<{ hidden: Float32Array; states: AttentionStates | null }> {
    const { layers } = this.configuration;
    const { batch, length } = tokens;
    const { forward, kept, projectionInputs } = this.#sessions;
    this.#current = tokens;
    const first = this.#hidden(0, tokens);
    if ('ids' in tokens) embed(this.configuration, this.parameters, tokens.ids.subarray(0, batch * length), first);
    else first.set(tokens.hidden.subarray(0, batch * length * this.configuration.hiddenSize));
    this.#memory.changed(first);
    let states: AttentionStates | null = null;
    let depth = 0;
    for (let layer = 0; layer < layers; layer += 1) {
      if (skip?.has(layer)) continue;
      const { bindings, feeds } = this.#layerFeeds(layer, tokens);
      const results: Record<string, ElementBuffer> = { output: this.#hidden(depth + 1, tokens) };
      for (const value of kept) results[value.forwardName] = this.#kept(layer, value, bindings);
      if (layer === capture) {
        const own = this.#stateBuffers('state', tokens);
        states = {
          q: (results['state.q'] ??= own.q) as Float32Array,
          k: (results['state.k'] ??= own.k) as Float32Array,
          v: (results['state.v'] ??= own.v) as Float32Array,
        };
      }
      const probes = new Map<Projection, Float32Array>();
      if (visit)
        for (const [projection, input] of projectionInputs) {
          const buffer = this.#pool.take(input.name, elementCount(input, bindings));
          results[input.name] = buffer;
          probes.set(projection, buffer);
        }
      await forward.run(bindings, { ...feeds, x: this.#hidden(depth, tokens) }, results);
      depth += 1;
      visit?.(layer, probes);
    }
    return { hidden: this.#hidden(depth, tokens), states };
  }

  /**
   * Backward pass of the last `forward`. Gradients are where the backend computes, until `collectGradients`. Those of the layers' parameters and of the embedding, where it ran, go to `gradients`; those of
   * the final norm and the head belong to the loss head.
   * @param dHidden `[B, T, hidden]`, gradient of the objective with respect to the trunk's output; null: none, only `relation`
   * @param gradients laid out as `parameters`; its embedding is always added to, the layers' parameters unless `accumulate` is false
   * @param final in the last pass of a step, does what `finishGradients` does a layer at a time, the last one and what lies behind it first, and
   * is told from which value on all gradients are final
   */
  async backward(
    dHidden: Float32Array | null,
    gradients: ParameterBuffer,
    accumulate: boolean,
    relation?: { layer: number; gradient: AttentionStates } | null,
    final?: (from: number) => void,
  ): Promise<void> {
    const tokens = this.#current;
    if (this.#options.mode !== 'training' || !tokens)
      throw new Error('backward needs a training network and a forward pass');
    if (this.#options.arithmetic?.gradients === 'int16' && tokens.batch * tokens.length > mostFixedPointTokens)
      throw new TritsmithError('bad-input', 'batch.too-large-for-fixed-point', {
        tokens: tokens.batch * tokens.length,
        most: mostFixedPointTokens,
      });
    const memory = this.#memory;
    this.#gradients = gradients;
    const { layers, hiddenSize } = this.configuration;
    const count = tokens.batch * tokens.length * hiddenSize;
    let dOutput = dHidden;
    let rest = gradients.values.length;
    const finish = async (from: number, layer: number | null): Promise<void> => {
      if (!final) return;
      const { specifications } = gradients;
      const names = specifications.map(({ name }) => name).filter((name) => within(gradients.offset(name), from, rest));
      await memory.read(...names.map((name) => gradients.view(name)));
      if (layer !== null) {
        this.#ternaryWeights?.scaleGradients(gradients, layer);
        this.#ternaryWeights?.chainSoft(gradients, layer);
      }
      rest = from;
      final(from);
    };
    for (let layer = layers - 1; layer >= 0; layer -= 1) {
      const enters = relation?.layer === layer ? relation.gradient : null;
      if (!dOutput && !enters) {
        if (!accumulate) for (const { name } of this.#layers[layer]!.values()) memory.zero(gradients.view(name));
        await finish(this.#offsetOf(layer), layer);
        continue;
      }
      const { session, kept } = await this.#sessions.backward(enters !== null);
      const { bindings, feeds } = this.#layerFeeds(layer, tokens);
      const dInput = this.#pool.take(`gradient.${layer % 2}`, count);
      memory.keep(dInput);
      dOutput ??= this.#pool.take('gradient.none', count).fill(0);
      const all: Record<string, ElementBuffer> = { ...feeds, x: this.#hidden(layer, tokens), 'd.output': dOutput };
      if (enters) {
        all['d.q'] = enters.q;
        all['d.k'] = enters.k;
        all['d.v'] = enters.v;
      }
      for (const value of kept) all[value.name] = this.#kept(layer, value, bindings);
      const results: Record<string, Float32Array> = { 'grad.x': dInput };
      const scratch: [Float32Array, Float32Array][] = [];
      for (const [local, { name, size }] of this.#layers[layer]!) {
        const target = gradients.view(name);
        memory.keep(target);
        if (accumulate) {
          const buffer = this.#pool.take(`scratch.${local}`, size);
          memory.keep(buffer);
          scratch.push([target, buffer]);
          results[`grad.${local}`] = buffer;
        } else results[`grad.${local}`] = target;
      }
      await session.run(bindings, all, results);
      for (const [target, source] of scratch) await memory.add(target, source);
      await finish(this.#offsetOf(layer), layer);
      dOutput = dInput;
    }
    if (dOutput && 'ids' in tokens)
      await addEmbeddingGradient(
        this.configuration,
        gradients,
        tokens.ids.subarray(0, tokens.batch * tokens.length),
        dOutput,
        memory,
      );
    if (rest > 0) await finish(0, null);
  }

  /** Where the parameters of a layer begin. */
  #offsetOf(layer: number): number {
    const [first] = this.#layers[layer]!.values();
    return this.parameters.offset(first!.name);
  }

  /** Brings gradients that passes backward left where the backend computes into `gradients`, and adds those of learned scales, which follow from them. */
  async collectGradients(gradients: ParameterBuffer): Promise<void> {
    await this.#memory.read(...gradients.specifications.map(({ name }) => gradients.view(name)));
    this.#ternaryWeights?.scaleGradients(gradients);
  }

  async release(): Promise<void> {
    this.#pool.release();
    this.#positions.release();
    this.#memory.drop(
      this.parameters.values,
      ...(this.#ternaryWeights?.arrays() ?? []),
      ...(this.#gradients ? [this.#gradients.values] : []),
    );
    for (const sessions of this.#sessionsOf.values()) await sessions.release();
  }
}
