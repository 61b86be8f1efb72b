/** GGUF files: read, write, ternary packing. */
export { packQ4, packQ6 } from './block-quantisers.ts';
export { embeddedTokenizer, tokenizerOfMetadata } from './embedded-tokenizer.ts';
export type { GgufTensor } from './header.ts';
export { packI2s, packI2sThroughRows } from './i2s.ts';
export { bool, float32, float32s, int32s, string, strings, uint32 } from './metadata.ts';
export type { GgufMetadata, GgufValue } from './metadata.ts';
export { packQ8 } from './quantised.ts';
export { openGguf } from './reader.ts';
export type { GgufFile } from './reader.ts';
export { packThreeOfFour } from './three-of-four.ts';
export { tokenizerMetadata } from './tokenizer-metadata.ts';
export { packQ2, packTq1, packTq2 } from './tq.ts';
export { checkShapeForType, hasScaleAtEnd, tensorTypeByName } from './tensor-types.ts';
export type { TensorTypeName } from './tensor-types.ts';
export { ggufBytes, writeGguf } from './writer.ts';
export type { GgufTensorToWrite } from './writer.ts';
