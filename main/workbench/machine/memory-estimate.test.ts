import { describe, expect, it } from 'vitest';
import { distillationBytes, qwen3Shapes, stageBytes } from './memory-estimate.ts';

describe('the memory of a training stage', () => {
  const shape = qwen3Shapes[0]!;
  // Kept per token and layer: 4 x 1024 hidden, 3 x 2048 queries, 3 x 1024 keys and values, 16 x 512 probabilities, 3 x 3072 feed-forward.
  const dense = 4 * 1024 + 3 * 2048 + 3 * 1024 + 16 * 512 + 3 * 3072;
  const ternary = dense + 2048 + 3072;
  // What enters the projections is kept in a byte each: of 2 x 1024 hidden, 2048 of the heads, 3072 feed-forward.
  const kept = ternary - 0.75 * (2 * 1024 + 2048 + 3072);
  // 263 rows of 151 936 logits at a time.
  const headRows = 263 * 151_936;

  it('of the teacher is 16 bytes a parameter, the activations, the head and the engine', () => {
    expect(stageBytes('finetune', shape, 512, 512, false)).toBe(
      596e6 * 16 + 4 * (512 * (28 + 3) * dense + 3 * headRows) + 0.2e9,
    );
  });

  it('of a distillation adds the teacher, the ternary copies, a second backward pass and the relation matrices', () => {
    expect(distillationBytes(shape, 512, 512, false)).toBe(
      596e6 * 20 + 440e6 * 5 + 4 * (512 * (28 * kept + 6 * ternary + 8 * 32 * 512) + 6 * headRows) + 0.2e9,
    );
  });

  it('of a 0.6B student fits in 20 GB at one row of 512 tokens, and recomputing saves most of the activations', () => {
    expect(distillationBytes(shape, 512, 512, false)).toBeLessThan(20e9);
    const saved = distillationBytes(shape, 4096, 512, false) - distillationBytes(shape, 4096, 512, true);
    expect(saved).toBe(4 * 4096 * (28 * (kept - 1024) - 2 * ternary));
  });
});
