/**
 * The operations of decoder language models with hand-written gradients, on activations `[B, T, width]`.
 * The recipes (which ONNX operator is fast and exact for what) were measured; docs/architecture.md, "Engine".
 */
export {
  attention,
  attentionReach,
  type AttentionShape,
  rotary,
  type RotaryTables,
  wholeRow,
} from './operations/attention.ts';
export { add, addBias, linear, matmul, reshape, scale } from './operations/basic.ts';
export { pickColumns, replaceColumns } from './operations/columns.ts';
export { geGlu, reluSquaredGlu, swiGlu } from './operations/feed-forward.ts';
export type { GradientArithmetic } from './operations/fixed-point.ts';
export { hadamard } from './operations/hadamard.ts';
export { headNorm, rmsNorm } from './operations/norm.ts';
export {
  type QuantisedActivation,
  quantiseActivation,
  ternaryLinear,
  type TernaryWeight,
} from './operations/ternary.ts';
