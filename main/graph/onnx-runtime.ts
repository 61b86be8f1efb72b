/** Runs programs on onnxruntime-node. Inputs are read from the caller's own buffers, and outputs computed in them. */
import '../basics/no-telemetry.ts';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  type Backend,
  type Bindings,
  type ElementBuffer,
  type EngineOptions,
  exactBuffer,
  hostMemory,
  type Session,
  shapeOf,
  threadCount,
} from './backend.ts';
import type { Value } from './graph.ts';
import { encodeOnnx } from './onnx-format.ts';
import type { Program } from './passes.ts';

export class OnnxSession implements Session {
  readonly program: Program;
  readonly #session: InferenceSession;
  readonly #profiled: boolean;

  constructor(program: Program, session: InferenceSession, profiled: boolean) {
    this.program = program;
    this.#session = session;
    this.#profiled = profiled;
  }

  async run(
    bindings: Bindings,
    feeds: Readonly<Record<string, ElementBuffer>>,
    results: Readonly<Record<string, ElementBuffer>>,
  ): Promise<void> {
    const tensor = (value: Value, buffer: ElementBuffer | undefined): Tensor => {
      const exact = exactBuffer(this.program, value, buffer, bindings);
      return new Tensor(value.type as 'float32', exact as Float32Array, shapeOf(value, bindings));
    };
    const inputs: Record<string, Tensor> = {};
    for (const value of this.program.inputs) inputs[value.name] = tensor(value, feeds[value.name]);
    const fetches: Record<string, Tensor> = {};
    for (const value of this.program.outputs) {
      const buffer = results[value.name];
      if (buffer) fetches[value.name] = tensor(value, buffer);
    }
    const copies = await this.#session.run(inputs, fetches);
    // onnxruntime-node hands out each output once more, in a buffer of its own (all outputs, where none is asked for). V8 would look
    // through its whole heap for such buffers ten times a second.
    for (const [name, { data: copy }] of Object.entries(copies)) {
      const { buffer } = copy as Float32Array;
      if (buffer instanceof ArrayBuffer && buffer !== (fetches[name]?.data as Float32Array | undefined)?.buffer)
        buffer.transfer(0);
    }
  }

  async release(): Promise<void> {
    if (this.#profiled) this.#session.endProfiling();
    await this.#session.release();
  }
}

async function createSession(program: Program, options: EngineOptions): Promise<Session> {
  const session = await InferenceSession.create(encodeOnnx(program.graph), {
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
  return new OnnxSession(program, session, options.profile !== undefined);
}

/** ONNX Runtime on the processor. */
export const onnxRuntime: Backend = { name: 'cpu', memory: hostMemory, createSession };
