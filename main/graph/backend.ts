/** What runs programs: the interface that processors have in common. */
import { availableParallelism } from 'node:os';
import { native } from '../../native/index.ts';
import { evaluateDimension, type Value } from './graph.ts';
import type { Program } from './passes.ts';

export interface EngineOptions {
  /** Threads inside one operator; 0: as many as there are cores. Another number may change the last digits of float32 products (docs/architecture.md, "Engine"). */
  readonly threads: number;
  /** Prefix of a file that gets the time of every operator (ONNX Runtime's profiler); written when the session is released. */
  readonly profile?: string;
  /** Absent: ONNX Runtime on the processor. */
  readonly backend?: Backend;
  /** Large products of matrices have factors rounded to bfloat16 and run in the addon (rounded-products.ts). On the processor; a card computes in float32. */
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

/**
 * Memory that a backend computes in, where it has one of its own. Arrays that are kept there stand for values of the card: sessions read and write these
 * without the bus, until `read` brings them back. A part of an array is known by the place where it begins. With `hostMemory` all of it is plain arithmetic on the arrays.
 */
export interface BackendMemory {
  /** From now on the values of these arrays stay on the card; the host's are the newer ones until a session writes there. */
  keep(...arrays: readonly ElementBuffer[]): void;
  /** The host wrote to what is kept of these arrays' memory. */
  changed(...arrays: readonly ElementBuffer[]): void;
  zero(array: Float32Array): void;
  /** `target += source`. */
  add(target: Float32Array, source: Float32Array): Promise<void>;
  /** `target[rows[r]] += factor * source[r]`, rows of `width` values, in the order of `rows`. */
  addRows(target: Float32Array, rows: Int32Array, width: number, source: Float32Array, factor: number): Promise<void>;
  /** `target[r] = source[rows[r]]`, rows of `width` values. */
  gatherRows(source: Float32Array, rows: Int32Array, width: number, target: Float32Array): Promise<void>;
  /** `target[rows[r]] = source[r]`; no row is there twice. */
  placeRows(target: Float32Array, rows: Int32Array, width: number, source: Float32Array): Promise<void>;
  /** Brings what is kept of these arrays to the host. */
  read(...arrays: readonly ElementBuffer[]): Promise<void>;
  /** Gives up what is kept of these arrays' memory; what was not read is lost. */
  drop(...arrays: readonly ElementBuffer[]): void;
}

/** Arrays are where they are computed. */
export const hostMemory: BackendMemory = {
  keep: () => undefined,
  changed: () => undefined,
  zero: (array) => void array.fill(0),
  add: (target, source) => {
    native.accumulate(target, source);
    return Promise.resolve();
  },
  addRows: (target, rows, width, source, factor) => {
    native.scatterAddRows(target, rows, width, source, factor);
    return Promise.resolve();
  },
  gatherRows: (source, rows, width, target) => {
    native.gatherRows(source, rows, width, target);
    return Promise.resolve();
  },
  placeRows: (target, rows, width, source) => {
    for (const [row, place] of rows.entries())
      target.set(source.subarray(row * width, (row + 1) * width), place * width);
    return Promise.resolve();
  },
  read: () => Promise.resolve(),
  drop: () => undefined,
};

export interface Backend {
  readonly name: 'cpu' | 'webgpu';
  readonly memory: BackendMemory;
  createSession(program: Program, options: EngineOptions): Promise<Session>;
}

/** The memory of what computes with these options. */
export function memoryOf({ backend }: Pick<EngineOptions, 'backend'>): BackendMemory {
  return backend?.memory ?? hostMemory;
}

/** Whether a card computes with these options: some programs are made otherwise for it. */
export function onCard({ backend }: Pick<EngineOptions, 'backend'>): boolean {
  return backend?.name === 'webgpu';
}
