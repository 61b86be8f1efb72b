/**
 * Runs programs on onnxruntime-node. Inputs are read from the caller's own buffers without a copy; outputs are computed in memory of
 * ONNX Runtime, and onnxruntime-node copies each once into the caller's buffer.
 */
import { availableParallelism } from 'node:os';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { evaluateDimension, type Value } from './graph.ts';
import type { Program } from './passes.ts';

export interface EngineOptions {
  /** Threads inside one operator; 0: as many as there are cores. Another number may change the last digits of float32 products (docs/architecture.md, "Engine"). */
  readonly threads: number;
  /** Prefix of a file that gets the time of every operator (ONNX Runtime's profiler); written when the session is released. */
  readonly profile?: string;
}

/** Threads that a setting stands for. */
export function threadCount({ threads }: EngineOptions): number {
  return threads === 0 ? availableParallelism() : threads;
}

/** Sizes of the named dimensions, such as `{ B: 4, T: 128 }`. */
export type Bindings = Readonly<Record<string, number>>;

export type ElementBuffer = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

function shapeOf(value: Value, bindings: Bindings): number[] {
  return value.shape.map((dimension) => evaluateDimension(dimension, bindings));
}

/** Number of elements of a value under the bindings. */
export function elementCount(value: Value, bindings: Bindings): number {
  return shapeOf(value, bindings).reduce((product, dimension) => product * dimension, 1);
}

export class Session {
  readonly program: Program;
  readonly #session: InferenceSession;
  readonly #profiled: boolean;

  private constructor(program: Program, session: InferenceSession, profiled: boolean) {
    this.program = program;
    this.#session = session;
    this.#profiled = profiled;
  }

  static async create(program: Program, options: EngineOptions): Promise<Session> {
    const session = await InferenceSession.create(program.bytes, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threadCount(options),
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      enableMemPattern: false,
      logSeverityLevel: 3,
      ...(options.profile === undefined
        ? {}
        : { enableProfiling: true, profileFilePrefix: `${options.profile}-${program.name}` }),
      extra: {
        session: {
          disable_quant_qdq: '1',
          intra_op: { allow_spinning: '0' },
          use_device_allocator_for_initializers: '1',
        },
      },
    });
    return new Session(program, session, options.profile !== undefined);
  }

  /**
   * @param feeds a buffer for every input of the program, at least as long as its shape asks for (longer ones are cut)
   * @param results a buffer for every output that is wanted; it is filled from its start
   */
  async run(
    bindings: Bindings,
    feeds: Readonly<Record<string, ElementBuffer>>,
    results: Readonly<Record<string, ElementBuffer>>,
  ): Promise<void> {
    const tensor = (value: Value, buffer: ElementBuffer | undefined): Tensor => {
      if (!buffer) throw new Error(`program ${this.program.name}: no buffer for ${value.name}`);
      const shape = shapeOf(value, bindings);
      const count = shape.reduce((product, dimension) => product * dimension, 1);
      if (buffer.length < count)
        throw new Error(
          `program ${this.program.name}: ${value.name} needs ${count} elements [${shape.join(', ')}], its buffer has ${buffer.length}`,
        );
      const exact = buffer.length === count ? buffer : buffer.subarray(0, count);
      return new Tensor(value.type as 'float32', exact as Float32Array, shape);
    };
    const inputs: Record<string, Tensor> = {};
    for (const value of this.program.inputs) inputs[value.name] = tensor(value, feeds[value.name]);
    const fetches: Record<string, Tensor> = {};
    for (const value of this.program.outputs) {
      const buffer = results[value.name];
      if (buffer) fetches[value.name] = tensor(value, buffer);
    }
    await this.#session.run(inputs, fetches);
  }

  async release(): Promise<void> {
    if (this.#profiled) this.#session.endProfiling();
    await this.#session.release();
  }
}
