/** What all Qwen3 models share, for shapes that benchmarks fill with random weights. */
export const qwen3 = {
  architecture: 'qwen3',
  rmsNormEpsilon: 1e-6,
  ropeTheta: 1e6,
  ropeScaling: null,
  maxPositions: 40_960,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
  ternary: false,
  subln: 'none',
} as const;
