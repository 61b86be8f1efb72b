/** What client.ts and process.ts say to each other (structured clones, one request at a time). */
import type { SerialisedError } from '../contract/errors.ts';
import type { LlamaCppOptions } from './engine.ts';

export type LlamaCppRequest =
  | { type: 'open'; component: string; path: string; options: LlamaCppOptions }
  | { type: 'logits'; ids: Int32Array; from: number }
  | { type: 'branches'; prompt: Int32Array; branches: readonly Int32Array[] }
  | { type: 'greedy'; ids: Int32Array; count: number }
  | { type: 'timed'; ids: Int32Array; count: number }
  | { type: 'tokenize'; text: string; special: boolean }
  | { type: 'memory' };

export type LlamaCppReply =
  | { type: 'ready'; loadSeconds: number; threads: number; trainedContext: number; amx: boolean; bareBytes: number }
  | { type: 'answer'; answer: unknown }
  | { type: 'failed'; error: SerialisedError };
