/** Runs programs on a graphics card: kernels of our own, made from the same graphs that ONNX Runtime computes. */
import {
  type Backend,
  type Bindings,
  type ElementBuffer,
  elementCount,
  exactBuffer,
  type Session,
} from '../backend.ts';
import type { Value } from '../graph.ts';
import type { Program } from '../passes.ts';
import { type CompiledProgram, compileProgram, type Kernel, storedBytes } from './compile.ts';
import { CardMemory } from './card-memory.ts';
import { type GpuBuffer, type GpuPipeline, usage } from './dawn.ts';
import type { Device } from './device.ts';

interface ReadyKernel extends Kernel {
  readonly pipeline: GpuPipeline;
}

/** Values of a kernel in the order of their variables. */
function order({ code, reads, writes }: Kernel): string[] {
  const access = [...code.matchAll(/@binding\(\d+\) var<storage, (read|read_write)>/g)].map(([, found]) => found);
  const [left, right] = [[...reads], [...writes]];
  return access.map((found) => (found === 'read' ? left.shift()! : right.shift()!));
}

export class WebGpuSession implements Session {
  readonly program: Program;
  readonly #device: Device;
  readonly #memory: CardMemory;
  readonly #compiled: CompiledProgram;
  readonly #kernels: readonly ReadyKernel[];
  readonly #constants = new Map<string, GpuBuffer>();
  /** Sizes of the named dimensions, by their values. */
  readonly #dimensions = new Map<string, GpuBuffer>();

  constructor(
    program: Program,
    { device, memory }: { device: Device; memory: CardMemory },
    compiled: CompiledProgram,
    kernels: readonly ReadyKernel[],
  ) {
    this.program = program;
    this.#device = device;
    this.#memory = memory;
    this.#compiled = compiled;
    this.#kernels = kernels;
    for (const [name, bytes] of compiled.constants) {
      const buffer = device.create(bytes.length, usage.storage | usage.copyTarget);
      device.upload(buffer, bytes);
      this.#constants.set(name, buffer);
    }
  }

  #uniform(bindings: Bindings): GpuBuffer {
    const sizes = this.#compiled.dimensions.map((name) => bindings[name] ?? 0);
    const key = sizes.join(' ');
    let buffer = this.#dimensions.get(key);
    if (!buffer) {
      buffer = this.#device.create(4 * Math.max(4, sizes.length), usage.uniform | usage.copyTarget);
      this.#device.upload(buffer, Uint32Array.from(sizes.length === 0 ? [0] : sizes));
      this.#dimensions.set(key, buffer);
    }
    return buffer;
  }

  async run(
    bindings: Bindings,
    feeds: Readonly<Record<string, ElementBuffer>>,
    results: Readonly<Record<string, ElementBuffer>>,
  ): Promise<void> {
    const device = this.#device;
    const { values } = this.#compiled;
    const buffers = new Map(this.#constants);
    /** To be given back after the commands. */
    const used: GpuBuffer[] = [];
    const bytesOf = (value: Value): number => storedBytes(value, elementCount(value, bindings));
    for (const value of this.program.inputs) {
      const host = exactBuffer(this.program, value, feeds[value.name], bindings);
      if (!values.has(value.name)) continue;
      let buffer = this.#memory.feed(host);
      if (!buffer) {
        buffer = device.takeForUpload(bytesOf(value));
        device.upload(buffer, host instanceof BigInt64Array ? Int32Array.from(host, Number) : host);
        used.push(buffer);
      }
      buffers.set(value.name, buffer);
    }
    const fed = new Set(buffers.values());
    const wanted: { readonly name: string; readonly target: ElementBuffer }[] = [];
    for (const value of this.program.outputs) {
      const given = results[value.name];
      if (!given) continue;
      const target = exactBuffer(this.program, value, given, bindings);
      const buffer = this.#memory.target(target, fed, used);
      if (buffer) buffers.set(value.name, buffer);
      else wanted.push({ name: value.name, target });
    }
    const kept = new Set(wanted.map(({ name }) => name));
    const lastUse = new Map<string, number>();
    this.#kernels.forEach(({ reads, writes }, index) => {
      for (const name of [...reads, ...writes]) lastUse.set(name, index);
    });
    const uniform = this.#uniform(bindings);
    const mine = new Map<string, GpuBuffer>();
    const pass = device.encoder.beginComputePass();
    this.#kernels.forEach((kernel, index) => {
      for (const name of kernel.writes) {
        if (buffers.has(name)) continue;
        const buffer = device.take(bytesOf(values.get(name)!));
        buffers.set(name, buffer);
        mine.set(name, buffer);
      }
      const names = order(kernel);
      const entries = [{ binding: 0, resource: { buffer: uniform } }];
      names.forEach((name, at) => {
        const size = Math.max(4, bytesOf(values.get(name)!));
        const resource = { buffer: buffers.get(name)!, offset: 0, size };
        device.counts.boundBytes += size;
        entries.push({ binding: at + 1, resource });
      });
      device.dispatch(pass, kernel.pipeline, entries, kernel.groups(bindings), kernel.flops(bindings));
      for (const name of [...kernel.reads, ...kernel.writes]) {
        const buffer = mine.get(name);
        if (!buffer || kept.has(name) || lastUse.get(name) !== index) continue;
        device.give(buffer);
        mine.delete(name);
      }
    });
    pass.end();
    for (const buffer of used) device.give(buffer);
    if (wanted.length > 0)
      await device.download(wanted.map(({ name, target }) => ({ buffer: buffers.get(name)!, target })));
    else device.submitMuch();
    for (const buffer of mine.values()) device.give(buffer);
  }

  release(): Promise<void> {
    for (const buffer of [...this.#constants.values(), ...this.#dimensions.values()]) this.#device.destroy(buffer);
    return Promise.resolve();
  }
}

/** @throws UnsupportedOperator for a program that the card is given no kernels for */
export function webGpuBackend(device: Device): Backend {
  const memory = new CardMemory(device);
  return {
    name: 'webgpu',
    memory,
    async createSession(program) {
      const compiled = compileProgram(program, device.mostBuffers, device.features);
      const kernels = await Promise.all(
        compiled.kernels.map(async (kernel) => ({
          ...kernel,
          pipeline: await device.pipeline(kernel.code, kernel.label),
        })),
      );
      return new WebGpuSession(program, { device, memory }, compiled, kernels);
    },
  };
}
