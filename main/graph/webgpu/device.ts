/**
 * One card: its buffers, and commands that are gathered until someone wants to read. Commands of a queue run in the order in which they were given.
 */
import { TritsmithError } from '../../contract/errors.ts';
import {
  type GpuAdapter,
  type GpuBuffer,
  type GpuCommandEncoder,
  type GpuComputePass,
  type GpuDevice,
  type GpuError,
  type GpuLimit,
  type GpuPipeline,
  mapModeRead,
  usage,
} from './dawn.ts';
import type { Features } from './kernels.ts';

/** What was done since the counts were last taken. */
export interface WorkCounts {
  dispatches: number;
  submissions: number;
  flops: number;
  /** Sizes of all that kernels bind: what they would move if each read every element once. */
  boundBytes: number;
  uploadedBytes: number;
  downloadedBytes: number;
}

const noWork = (): WorkCounts => ({
  dispatches: 0,
  submissions: 0,
  flops: 0,
  boundBytes: 0,
  uploadedBytes: 0,
  downloadedBytes: 0,
});

const wantedLimits: readonly GpuLimit[] = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxStorageBuffersPerShaderStage',
];

/** A submission of more operations is sent off: some systems take a card for hung that works on one for two seconds. */
const mostGathered = 2 ** 39;

/** Buffers come in few sizes, so that they can be used again: 3/2 or 2 times a power of two. */
function roomyBytes(bytes: number): number {
  let size = 256;
  while (size < bytes) size *= 2;
  return size > 256 && bytes <= size * 0.75 ? size * 0.75 : size;
}

function addTo(lists: Map<number, GpuBuffer[]>, buffer: GpuBuffer): void {
  const list = lists.get(buffer.size);
  if (list) list.push(buffer);
  else lists.set(buffer.size, [buffer]);
}

export class Device {
  readonly adapter: GpuAdapter;
  readonly gpu: GpuDevice;
  /** Given back, by size; commands that were not submitted may still use them. */
  readonly #free = new Map<number, GpuBuffer[]>();
  /** Those that no waiting command uses. */
  readonly #clean = new Map<number, GpuBuffer[]>();
  #encoder: GpuCommandEncoder | null = null;
  readonly #pipelines = new Map<string, Promise<GpuPipeline>>();
  /** Operations of the commands that were gathered. */
  #gathered = 0;
  #submissions = 0;
  #bytes = 0;
  #checks: Promise<GpuError | null>[] = [];
  #lost: string | null = null;
  #counts = noWork();

  readonly features: Features;

  private constructor(adapter: GpuAdapter, gpu: GpuDevice, features: Features) {
    this.adapter = adapter;
    this.gpu = gpu;
    this.features = features;
    void gpu.lost.then(({ reason, message }) => {
      this.#lost = message === '' ? reason : message;
    });
  }

  /** @param without what the kernels are not to use though the card has it */
  static async open(adapter: GpuAdapter, without: readonly (keyof Features)[] = []): Promise<Device> {
    const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]));
    const features: Features = {
      subgroups: adapter.features.has('subgroups') && !without.includes('subgroups'),
      // Every driver takes them, but Metal has no such instruction: there they are made of many others.
      byteProducts: adapter.info.vendor !== 'apple' && !without.includes('byteProducts'),
    };
    const gpu = await adapter.requestDevice({
      requiredFeatures: features.subgroups ? ['subgroups'] : [],
      requiredLimits,
    });
    return new Device(adapter, gpu, features);
  }

  /** How many buffers a kernel can have. */
  get mostBuffers(): number {
    return this.adapter.limits.maxStorageBuffersPerShaderStage;
  }

  /** How many there were. */
  get submissions(): number {
    return this.#submissions;
  }

  /** Bytes of all buffers that `create` and `take` made and that live. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Kernels that were compiled. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  get counts(): WorkCounts {
    return this.#counts;
  }

  /** The counts, which begin anew. */
  takeCounts(): WorkCounts {
    const counts = this.#counts;
    this.#counts = noWork();
    return counts;
  }

  /** A kernel made ready; equal texts are compiled once. */
  pipeline(code: string, label: string): Promise<GpuPipeline> {
    let pipeline = this.#pipelines.get(code);
    if (!pipeline) {
      pipeline = this.#compile(code, label);
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  async #compile(code: string, label: string): Promise<GpuPipeline> {
    // An error is told by the pipeline, with the driver's words, and not to the whole device.
    this.gpu.pushErrorScope('validation');
    const module = this.gpu.createShaderModule({ code });
    const pipeline = this.gpu.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    const scope = this.gpu.popErrorScope();
    try {
      const made = await pipeline;
      await scope;
      return made;
    } catch (error) {
      await scope;
      const { messages } = await module.getCompilationInfo();
      const said = messages.map(({ message }) => message).join('\n');
      throw new Error(`${label}: the card's driver does not take a kernel\n${said}\n${code}`, { cause: error });
    }
  }

  /** A buffer of at least `bytes` with whatever it last held, for commands. */
  take(bytes: number): GpuBuffer {
    const size = roomyBytes(bytes);
    return this.#free.get(size)?.pop() ?? this.takeForUpload(bytes);
  }

  /** The same, for an upload: it comes before all commands that wait, so none of these may use the buffer. */
  takeForUpload(bytes: number): GpuBuffer {
    const size = roomyBytes(bytes);
    return this.#clean.get(size)?.pop() ?? this.create(size, usage.storage | usage.copySource | usage.copyTarget);
  }

  /** A buffer of its own. @throws TritsmithError where the card has no buffers so large */
  create(bytes: number, use: number): GpuBuffer {
    const most = Math.min(this.adapter.limits.maxStorageBufferBindingSize, this.adapter.limits.maxBufferSize);
    if (bytes > most) throw new TritsmithError('out-of-memory', 'gpu.buffer-too-large', { bytes, most });
    this.gpu.pushErrorScope('out-of-memory');
    const buffer = this.gpu.createBuffer({ size: Math.max(4, bytes), usage: use });
    this.#checks.push(this.gpu.popErrorScope());
    this.#bytes += buffer.size;
    return buffer;
  }

  destroy(buffer: GpuBuffer): void {
    this.#bytes -= buffer.size;
    buffer.destroy();
  }

  /** Gives a buffer back; commands that come later may use it at once. */
  give(buffer: GpuBuffer): void {
    addTo(this.#free, buffer);
  }

  /** Writes to a buffer that no waiting command uses. */
  upload(buffer: GpuBuffer, data: ArrayBufferView): void {
    const { byteLength } = data;
    const whole = byteLength - (byteLength % 4);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, byteLength);
    if (whole > 0) this.gpu.queue.writeBuffer(buffer, 0, bytes, 0, whole);
    if (whole < byteLength) {
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(whole));
      this.gpu.queue.writeBuffer(buffer, whole, rest);
    }
    this.#counts.uploadedBytes += byteLength;
  }

  get encoder(): GpuCommandEncoder {
    return (this.#encoder ??= this.gpu.createCommandEncoder());
  }

  /** Adds a kernel's run on so many workgroups to a pass. */
  dispatch(
    pass: GpuComputePass,
    pipeline: GpuPipeline,
    entries: Parameters<GpuDevice['createBindGroup']>[0]['entries'],
    groups: number,
    flops: number,
  ): void {
    if (groups === 0) return;
    const across = Math.min(groups, this.adapter.limits.maxComputeWorkgroupsPerDimension);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(across, Math.ceil(groups / across));
    this.#counts.dispatches += 1;
    this.#counts.flops += flops;
    this.#gathered += flops;
  }

  /** Submits where much was gathered; not inside a pass. */
  submitMuch(): void {
    if (this.#gathered > mostGathered) this.submit();
  }

  /** Sends what was gathered on its way. */
  submit(): void {
    if (!this.#encoder) return;
    this.gpu.pushErrorScope('validation');
    this.gpu.queue.submit([this.#encoder.finish()]);
    this.#checks.push(this.gpu.popErrorScope());
    this.#encoder = null;
    for (const buffers of this.#free.values()) for (const buffer of buffers) addTo(this.#clean, buffer);
    this.#free.clear();
    this.#gathered = 0;
    this.#submissions += 1;
    this.#counts.submissions += 1;
  }

  /**
   * Submits and reads buffers into memory of the host.
   * @throws TritsmithError where the card lacks memory or was lost since the last read
   */
  async download(wanted: readonly { readonly buffer: GpuBuffer; readonly target: ArrayBufferView }[]): Promise<void> {
    const places: number[] = [];
    let size = 0;
    for (const { target } of wanted) {
      places.push(size);
      size += 4 * Math.ceil(target.byteLength / 4);
    }
    const staging = this.create(size, usage.mapRead | usage.copyTarget);
    wanted.forEach(({ buffer, target }, index) => {
      if (target.byteLength > 0)
        this.encoder.copyBufferToBuffer(buffer, 0, staging, places[index]!, 4 * Math.ceil(target.byteLength / 4));
    });
    this.submit();
    try {
      const [mapped] = await Promise.allSettled([staging.mapAsync(mapModeRead)]);
      await this.check();
      if (mapped.status === 'rejected') throw mapped.reason;
      const bytes = staging.getMappedRange();
      wanted.forEach(({ target }, index) => {
        const to = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
        to.set(new Uint8Array(bytes, places[index], target.byteLength));
      });
      staging.unmap();
    } finally {
      this.destroy(staging);
    }
    this.#counts.downloadedBytes += size;
  }

  /** @throws TritsmithError where the card lacks memory or was lost; Error for a mistake of ours */
  async check(): Promise<void> {
    const checks = this.#checks;
    this.#checks = [];
    const errors = (await Promise.all(checks)).filter((error) => error !== null);
    if (this.#lost !== null) throw new TritsmithError('internal', 'gpu.lost', { problem: this.#lost });
    const [first] = errors;
    if (!first) return;
    if (/out of memory|OUT_OF_(DEVICE|HOST)_MEMORY/i.test(first.message))
      throw new TritsmithError('out-of-memory', 'gpu.out-of-memory', { problem: first.message });
    throw new Error(first.message);
  }

  close(): void {
    this.gpu.destroy();
  }
}
