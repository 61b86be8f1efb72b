/** Makes programs ready on the backend that the options name. */
import type { EngineOptions, Session } from './backend.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import type { Program } from './passes.ts';

export function createSession(program: Program, options: EngineOptions): Promise<Session> {
  return (options.backend ?? onnxRuntime).createSession(program, options);
}
