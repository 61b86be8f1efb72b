import { describe, expect, it } from 'vitest';
import { distillationBytes, qwen3Shapes } from './memory-estimate.ts';

describe('the memory of a distillation', () => {
  const shape = qwen3Shapes[0]!;

  it('is 24 bytes a parameter, the activations and the engine', () => {
    // 5*1024 + 3*2048 + 4*1024 + 4*3072 + 16*512 = 35 840 floats a token and layer.
    expect(distillationBytes(shape, 512, 512, false)).toBe(596e6 * 24 + 512 * 28 * 35_840 * 4 + 0.5e9);
  });

  it('of a 0.6B student fits in 20 GB at one row of 512 tokens, and recomputing saves most of the activations', () => {
    expect(distillationBytes(shape, 512, 512, false)).toBeLessThan(20e9);
    const saved = distillationBytes(shape, 4096, 512, false) - distillationBytes(shape, 4096, 512, true);
    expect(saved / 1e9).toBeCloseTo((4096 * (27 * 35_840 - 28 * 1024) * 4) / 1e9);
  });
});
