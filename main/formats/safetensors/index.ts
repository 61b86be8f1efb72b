/** Weights in safetensors files and Hugging Face folders. */
export { openCheckpoint } from './checkpoint.ts';
export type { Checkpoint } from './checkpoint.ts';
export { assertFinite, openSafetensors } from './reader.ts';
export type { SafetensorsFile } from './reader.ts';
export type { TensorEntry } from './header.ts';
export { writeSafetensors } from './writer.ts';
export type { TensorToWrite } from './writer.ts';
