/** What a card keeps of the host's arrays between sessions, so that it crosses the bus once a step and not with every session. */
import { type BackendMemory, type ElementBuffer, hostMemory } from '../backend.ts';
import { type GpuBuffer, type GpuPipeline } from './dawn.ts';
import type { Device } from './device.ts';

interface Kept {
  /** Null before it is first used. */
  buffer: GpuBuffer | null;
  /** Where the values are newer. */
  newer: 'host' | 'card' | 'neither';
  /** Submissions that there were when commands last used the buffer. */
  usedAt: number;
}

const threads = 64;
const invocation =
  '@builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) l: u32';

const addCode = `
@group(0) @binding(0) var<storage, read_write> target_: array<f32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@compute @workgroup_size(${threads})
fn main(${invocation}) {
  let i = (w.x + w.y * count.x) * ${threads}u + l;
  if (i >= arrayLength(&target_)) { return; }
  target_[i] += source[i];
}
`;

/** One thread adds all rows' values of its column, one after the other, so that equal inputs give equal bits. */
const addRowsCode = `
@group(0) @binding(0) var<storage, read_write> target_: array<f32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
// Width, number of rows, the factor's bits, and the rows.
@group(0) @binding(2) var<storage, read> places: array<u32>;
@compute @workgroup_size(${threads})
fn main(${invocation}) {
  let column = (w.x + w.y * count.x) * ${threads}u + l;
  let width = places[0];
  if (column >= width) { return; }
  let factor = bitcast<f32>(places[2]);
  for (var row = 0u; row < places[1]; row += 1u) {
    target_[places[3u + row] * width + column] += factor * source[row * width + column];
  }
}
`;

/** A row for each of the places: `target_` has them where `source` has one after the other, or the other way round. */
const moveRowsCode = (to: string, from: string): string => `
@group(0) @binding(0) var<storage, read_write> target_: array<f32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
// Width, number of rows, and the rows.
@group(0) @binding(2) var<storage, read> places: array<u32>;
@compute @workgroup_size(${threads})
fn main(${invocation}) {
  let i = (w.x + w.y * count.x) * ${threads}u + l;
  let width = places[0];
  if (i >= width * places[1]) { return; }
  let place = places[2u + i / width] * width + i % width;
  target_[${to}] = source[${from}];
}
`;
const gatherRowsCode = moveRowsCode('i', 'place');
const placeRowsCode = moveRowsCode('place', 'i');

export class CardMemory implements BackendMemory {
  readonly #device: Device;
  /** By the memory that arrays lie in and the byte where they begin. */
  readonly #kept = new Map<ArrayBufferLike, Map<number, Kept>>();

  constructor(device: Device) {
    this.#device = device;
  }

  keep(...arrays: readonly ElementBuffer[]): void {
    for (const { buffer, byteOffset } of arrays) {
      let places = this.#kept.get(buffer);
      if (!places) this.#kept.set(buffer, (places = new Map<number, Kept>()));
      if (!places.has(byteOffset)) places.set(byteOffset, { buffer: null, newer: 'host', usedAt: -1 });
    }
  }

  isKept(array: ElementBuffer): boolean {
    return this.#find(array) !== undefined;
  }

  #find({ buffer, byteOffset }: ElementBuffer): Kept | undefined {
    return this.#kept.get(buffer)?.get(byteOffset);
  }

  /** What begins inside of an array. */
  *#inside({ buffer, byteOffset, byteLength }: ElementBuffer): Generator<[number, Kept]> {
    for (const [place, kept] of this.#kept.get(buffer) ?? [])
      if (place >= byteOffset && place < byteOffset + byteLength) yield [place, kept];
  }

  changed(...arrays: readonly ElementBuffer[]): void {
    for (const array of arrays) for (const [, kept] of this.#inside(array)) kept.newer = 'host';
  }

  drop(...arrays: readonly ElementBuffer[]): void {
    for (const array of arrays) {
      const places = this.#kept.get(array.buffer);
      for (const [place, { buffer }] of [...this.#inside(array)]) {
        if (buffer) this.#device.give(buffer);
        places!.delete(place);
      }
      if (places?.size === 0) this.#kept.delete(array.buffer);
    }
  }

  /** The buffer of an array that is kept, with the newest values. @returns null where it is not kept */
  feed(array: ElementBuffer): GpuBuffer | null {
    const kept = this.#find(array);
    if (!kept) return null;
    if (kept.newer === 'host' || !kept.buffer || kept.buffer.size < array.byteLength) {
      if (kept.newer === 'card') throw new Error('less was written to an array on the card than is read of it');
      // An upload comes before all commands that were not submitted.
      if (kept.usedAt === this.#device.submissions) this.#device.submit();
      this.#giveIfSmaller(kept, array.byteLength);
      kept.buffer ??= this.#device.takeForUpload(array.byteLength);
      this.#device.upload(kept.buffer, array);
      kept.newer = 'neither';
    }
    kept.usedAt = this.#device.submissions;
    return kept.buffer;
  }

  /**
   * The buffer that a session writes the array's new values to; it may not read them there.
   * @param read buffers that the session reads
   * @param former takes the buffer that held the values so far where it is one of these, to be given back after the session's commands
   * @returns null where the array is not kept
   */
  target(array: ElementBuffer, read: ReadonlySet<GpuBuffer>, former: GpuBuffer[]): GpuBuffer | null {
    const kept = this.#find(array);
    if (!kept) return null;
    if (kept.buffer && read.has(kept.buffer)) {
      former.push(kept.buffer);
      kept.buffer = null;
    }
    return this.#written(kept, array.byteLength);
  }

  #giveIfSmaller(kept: Kept, bytes: number): void {
    if (!kept.buffer || kept.buffer.size >= bytes) return;
    this.#device.give(kept.buffer);
    kept.buffer = null;
  }

  #written(kept: Kept, bytes: number): GpuBuffer {
    this.#giveIfSmaller(kept, bytes);
    kept.buffer ??= this.#device.take(bytes);
    kept.newer = 'card';
    kept.usedAt = this.#device.submissions;
    return kept.buffer;
  }

  zero(array: Float32Array): void {
    const kept = this.#find(array);
    if (!kept) {
      hostMemory.zero(array);
      return;
    }
    const buffer = this.#written(kept, array.byteLength);
    this.#device.encoder.clearBuffer(buffer, 0, array.byteLength);
  }

  async add(target: Float32Array, source: Float32Array): Promise<void> {
    if (!this.isKept(target)) {
      await this.read(source);
      await hostMemory.add(target, source);
      return;
    }
    const pipeline = await this.#device.pipeline(addCode, 'add');
    this.#update(target, source, pipeline, null, target.length, target.length);
  }

  async addRows(
    target: Float32Array,
    rows: Int32Array,
    width: number,
    source: Float32Array,
    factor: number,
  ): Promise<void> {
    if (!this.isKept(target)) {
      await this.read(source);
      await hostMemory.addRows(target, rows, width, source, factor);
      return;
    }
    const pipeline = await this.#device.pipeline(addRowsCode, 'add rows');
    const bits = new Int32Array(Float32Array.of(factor).buffer)[0]!;
    this.#update(
      target,
      source,
      pipeline,
      Int32Array.of(width, rows.length, bits, ...rows),
      width,
      rows.length * width,
    );
  }

  async gatherRows(source: Float32Array, rows: Int32Array, width: number, target: Float32Array): Promise<void> {
    if (!this.isKept(target) || !this.isKept(source)) {
      await this.read(source);
      await hostMemory.gatherRows(source, rows, width, target);
      this.changed(target);
      return;
    }
    const pipeline = await this.#device.pipeline(gatherRowsCode, 'gather rows');
    const places = Int32Array.of(width, rows.length, ...rows);
    this.#written(this.#find(target)!, target.byteLength);
    this.#update(target, source, pipeline, places, rows.length * width, 0);
  }

  async placeRows(target: Float32Array, rows: Int32Array, width: number, source: Float32Array): Promise<void> {
    if (!this.isKept(target)) {
      await this.read(source);
      await hostMemory.placeRows(target, rows, width, source);
      return;
    }
    const pipeline = await this.#device.pipeline(placeRowsCode, 'place rows');
    const places = Int32Array.of(width, rows.length, ...rows);
    this.#update(target, source, pipeline, places, rows.length * width, 0);
  }

  /** Changes `target`, which is kept, by `source`. */
  #update(
    target: Float32Array,
    source: Float32Array,
    pipeline: GpuPipeline,
    places: Int32Array | null,
    invocations: number,
    sums: number,
  ): void {
    const device = this.#device;
    const own = this.feed(target)!;
    let from = this.feed(source);
    const uploaded: GpuBuffer[] = [];
    const upload = (values: Float32Array | Int32Array): GpuBuffer => {
      const buffer = device.takeForUpload(values.byteLength);
      device.upload(buffer, values);
      uploaded.push(buffer);
      return buffer;
    };
    from ??= upload(source);
    const bound = [
      { buffer: own, size: target.byteLength },
      { buffer: from, size: source.byteLength },
      ...(places ? [{ buffer: upload(places), size: places.byteLength }] : []),
    ];
    const entries = bound.map(({ buffer, size }, binding) => ({ binding, resource: { buffer, offset: 0, size } }));
    device.counts.boundBytes += bound.reduce((sum, { size }) => sum + size, 0);
    const pass = device.encoder.beginComputePass();
    device.dispatch(pass, pipeline, entries, Math.ceil(invocations / threads), sums);
    pass.end();
    this.#find(target)!.newer = 'card';
    for (const buffer of uploaded) device.give(buffer);
  }

  async read(...arrays: readonly ElementBuffer[]): Promise<void> {
    const wanted = arrays.flatMap((array) => {
      const kept = this.#find(array);
      return kept?.buffer && kept.newer === 'card' ? [{ kept, buffer: kept.buffer, target: array }] : [];
    });
    if (wanted.length === 0) return;
    await this.#device.download(wanted);
    for (const { kept } of wanted) kept.newer = 'neither';
  }
}
