/** Makes programs ready on the backend that the options name. */
import type { EngineOptions, Session } from './backend.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import type { Program } from './passes.ts';
import { sessionInPieces } from './rounded-products.ts';

export function createSession(program: Program, options: EngineOptions): Promise<Session> {
  const backend = options.backend ?? onnxRuntime;
  if (!options.roundedProducts) return backend.createSession(program, options);
  return sessionInPieces(program, options, (piece, pieceOptions) => backend.createSession(piece, pieceOptions));
}
