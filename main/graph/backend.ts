/** What runs programs: the interface that processors have in common. */
import { availableParallelism } from 'node:os';
import { evaluateDimension, type Value } from './graph.ts';
import type { Program } from './passes.ts';

export interface EngineOptions {
  /** Threads inside one operator; 0: as many as there are cores. Another number may change the last digits of float32 products (docs/architecture.md, "Engine"). */
  readonly threads: number;
  /** Prefix of a file that gets the time of every operator (ONNX Runtime's profiler); written when the session is released. */
  readonly profile?: string;
  /** Absent: ONNX Runtime on the processor. */
  readonly backend?: Backend;
  /** Large products of matrices have factors rounded to bfloat16 and run in the addon (rounded-products.ts). On the processor. */
  readonly roundedProducts?: boolean;
}

/** Threads that a setting stands for. */
export function threadCount({ threads }: Pick<EngineOptions, 'threads'>): number {
  return threads === 0 ? availableParallelism() : threads;
}

/** Sizes of the named dimensions, such as `{ B: 4, T: 128 }`. */
export type Bindings = Readonly<Record<string, number>>;

export type ElementBuffer = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

/** The dimensions of a value under the bindings. */
export function shapeOf(value: Value, bindings: Bindings): number[] {
  return value.shape.map((dimension) => evaluateDimension(dimension, bindings));
}

/** Number of elements of a value under the bindings. */
export function elementCount(value: Value, bindings: Bindings): number {
  return shapeOf(value, bindings).reduce((product, dimension) => product * dimension, 1);
}

/** The part of `buffer` that a value takes. @throws Error where it is missing or too short */
export function exactBuffer<Buffer extends ElementBuffer>(
  { name }: Program,
  value: Value,
  buffer: Buffer | undefined,
  bindings: Bindings,
): Buffer {
  if (!buffer) throw new Error(`program ${name}: no buffer for ${value.name}`);
  const shape = shapeOf(value, bindings);
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (buffer.length < count)
    throw new Error(
      `program ${name}: ${value.name} needs ${count} elements [${shape.join(', ')}], its buffer has ${buffer.length}`,
    );
  return buffer.length === count ? buffer : (buffer.subarray(0, count) as Buffer);
}

/** A program made ready to run. */
export interface Session {
  readonly program: Program;
  /**
   * @param feeds a buffer for every input of the program, at least as long as its shape asks for (longer ones are cut)
   * @param results a buffer for every output that is wanted; it is filled from its start
   */
  run(
    bindings: Bindings,
    feeds: Readonly<Record<string, ElementBuffer>>,
    results: Readonly<Record<string, ElementBuffer>>,
  ): Promise<void>;
  release(): Promise<void>;
}

export interface Backend {
  readonly name: 'cpu' | 'webgpu';
  createSession(program: Program, options: EngineOptions): Promise<Session>;
}
