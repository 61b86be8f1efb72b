/** llama.cpp as a component on demand: find it, install it, run a GGUF file in it. */
export type { LlamaCppProcess } from './client.ts';
export { startLlamaCpp } from './client.ts';
export { findLlamaCpp, llamaCppState, removeLlamaCpp, requireLlamaCpp } from './component.ts';
export type { LlamaCppModel, LlamaCppOptions, TimedRun } from './engine.ts';
export { openInLlamaCpp } from './engine.ts';
export { installLlamaCpp } from './install.ts';
