/** Makes programs ready on the backend that the options name. */
import type { EngineOptions, Session } from './backend.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import type { Program } from './passes.ts';
import { sessionInPieces } from './rounded-products.ts';

export function createSession(program: Program, options: EngineOptions): Promise<Session> {
  // A card has no faster products of rounded factors: it computes in float32.
  if (options.backend) return options.backend.createSession(program, options);
  if (!options.roundedProducts) return onnxRuntime.createSession(program, options);
  return sessionInPieces(program, options, (piece, pieceOptions) => onnxRuntime.createSession(piece, pieceOptions));
}
