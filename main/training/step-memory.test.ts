import { describe, expect, it } from 'vitest';
import type { MemoryTerm } from '../contract/estimates.ts';
import { sumOf } from '../contract/quantities.ts';
import { type ModelConfiguration, plainDecoder } from '../models/configuration.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, parameterSpecifications } from '../models/parameters.ts';
import { AdamW } from './optimiser.ts';
import { optimiserSettings } from '../contract/recipe.ts';
import { momentBytes, stepMemory, windowMemory, type StepShape } from './step-memory.ts';

const base: ModelConfiguration = {
  ...plainDecoder,
  architecture: 'qwen3',
  vocabSize: 151_936,
  hiddenSize: 1024,
  layers: 28,
  heads: 16,
  kvHeads: 8,
  headSize: 128,
  ffnSize: 3072,
  rmsNormEpsilon: 1e-6,
  ropeTheta: 1e6,
  maxPositions: 40_960,
  tiedEmbeddings: true,
  qkNorm: 'head',
  ternary: false,
  subln: 'none',
};
const student: ModelConfiguration = { ...base, ternary: true, subln: 'paper' };
const row = { rows: 1, rowLength: 512, headRows: 512, recompute: false };

const bytesOf = (shape: StepShape): Record<string, number> =>
  Object.fromEntries(stepMemory(shape).map(({ id, bytes }) => [id, bytes]));

describe('the memory of a training step', () => {
  // Per token and layer: 4 x 1024 hidden, 3 x 2048 queries, 3 x 1024 keys and values, 3 x 3072 feed-forward, 16 x 512 probabilities.
  const probabilities = 16 * 512;
  const dense = 4 * 1024 + 3 * 2048 + 3 * 1024 + 3 * 3072 + probabilities;
  const ternary = dense + 2048 + 3072;
  // Probabilities are computed again. What enters the projections is kept in a byte each: of 2 x 1024 hidden, 2048 of the heads, 3072 feed-forward.
  const kept = ternary - probabilities - 0.75 * (2 * 1024 + 2048 + 3072);
  // By hand: the embedding; per layer q and o, k and v, three of the feed-forward; norms of 1024 and 128.
  const body = 28 * (2 * 2048 * 1024 + 2 * 1024 * 1024 + 3 * 3072 * 1024);
  const parameters = 151_936 * 1024 + body + 28 * (2 * 1024 + 2 * 128) + 1024;
  const subln = 28 * (2048 + 3072);
  // 263 rows of 151 936 logits at a time.
  const logits = 263 * 151_936;

  it('of the teacher is 16 bytes a parameter, the activations, the head and the engine', () => {
    const found = bytesOf({ model: base, ...row });
    expect(found).toEqual({
      trained: parameters * 16,
      activations: expect.any(Number),
      sessions: 4 * 512 * 3 * dense,
      logits: 4 * 3 * logits,
      'head-gradient': 4 * 151_936 * 1024,
      engine: 0.2e9,
    });
    // By hand without norms' statistics and rotary tables, which are below a percent.
    expect(found['activations']! / (4 * 512 * 28 * (dense - probabilities))).toBeCloseTo(1, 2);
  });

  it('of a distillation adds the teacher, the ternary copies, a second backward pass and the relation matrices', () => {
    const found = bytesOf({ model: student, teacher: base, ...row });
    expect(found).toEqual({
      trained: (parameters + subln) * 16,
      teacher: parameters * 4,
      ternary: body * 5.25,
      activations: expect.any(Number),
      sessions: 4 * 512 * (5 * ternary + dense),
      relation: 4 * 8 * 32 * 512 * 512,
      logits: 4 * 6 * logits,
      'head-gradient': 4 * 151_936 * 1024,
      engine: 0.2e9,
    });
    expect(found['activations']! / (4 * 512 * 28 * kept)).toBeCloseTo(1, 2);
  });

  it('on a card has no scores of whole rows: three numbers for each row and head in their place, one of them kept', () => {
    for (const rowLength of [512, 4096]) {
      const shape = { model: base, ...row, rowLength };
      const [found, processor] = [bytesOf({ ...shape, onCard: true }), bytesOf(shape)];
      expect(found['sessions']).toBe(4 * rowLength * 3 * (dense - probabilities + 3 * 16));
      expect(found['activations']! - processor['activations']!).toBe(4 * rowLength * 28 * 16);
    }
  });

  it.each([
    ['6:8', 1 / 8],
    ['3:4', 1 / 4],
    ['exactly-3:4', 1 / 4],
  ] as const)('with %s adds a byte of mask for as many weights as the rule looks at', (sparsity, mask) => {
    const sparse: ModelConfiguration = {
      ...student,
      quantisation: { weights: { scale: 'absmean', group: 'tensor', sparsity } },
    };
    const plain = bytesOf({ model: student, ...row });
    expect(bytesOf({ model: sparse, ...row })).toEqual({ ...plain, ternary: body * (5.25 + mask) });
    const ofWindow = (model: ModelConfiguration) =>
      windowMemory({ model, window: 2, rows: 1, rowLength: 512, recompute: false }).find(({ id }) => id === 'ternary')!;
    const window = (body / 28) * 2;
    expect(ofWindow(student).bytes).toBe(window * 4.25);
    expect(ofWindow(sparse)).toMatchObject({ bytes: window * (4.25 + mask), params: { bytesEach: 4.25 + mask } });
  });

  it('of a 0.6B student fits in 20 GB at one row of 512 tokens, and recomputing keeps the inputs of the layers alone', () => {
    expect(sumOf(stepMemory({ model: student, teacher: base, ...row }))).toBeLessThan(20e9);
    const eight = { ...row, rows: 8, headRows: 4096 };
    const recomputed = bytesOf({ model: student, teacher: base, ...eight, recompute: true });
    expect(recomputed['activations']).toBe(4 * 4096 * 28 * 1024);
    expect(bytesOf({ model: student, teacher: base, ...eight })['activations']).toBeGreaterThan(
      20 * recomputed['activations']!,
    );
  });

  it('of a 0.6B run is below 12 GB with moments in bytes, recomputed activations and a teacher that is asked once', () => {
    const spared = { ...row, recompute: true, moments: '8-bit' } as const;
    const distilled = { model: student, teacher: base, ...spared, headRows: 8 };
    const found = bytesOf({ model: base, ...spared });
    expect(found['trained']).toBe(parameters * (8 + 2 + 8 / 256));
    const gigabytes = (shape: StepShape): number => Math.round(sumOf(stepMemory(shape)) / 1e8) / 10;
    // What docs/method.md, 5.10, says.
    expect(gigabytes({ model: base, ...spared, headRows: 8 })).toBe(7.1);
    expect(gigabytes({ model: student, ...spared })).toBe(9.9);
    expect(gigabytes({ ...distilled, teacherOnce: true })).toBe(10.6);
    expect(gigabytes(distilled)).toBe(12.4);
    expect(gigabytes({ ...distilled, moments: undefined, teacherOnce: true })).toBe(14.2);
    expect(gigabytes({ ...distilled, moments: undefined })).toBe(16);
  });

  it('computes relations and logits in pieces, so long batches do not take more of them', () => {
    const of = (rows: number) => bytesOf({ model: student, teacher: base, ...row, rows, headRows: rows * 512 });
    expect(of(64)['relation']).toBe(of(1)['relation']);
    expect(of(64)['logits']).toBe(of(2)['logits']);
    expect(bytesOf({ model: student, teacher: base, ...row, splitHeads: null })).not.toHaveProperty('relation');
  });

  it.each([undefined, '8-bit' as const])(
    'counts the buffers that training really has, moments: %s',
    async (moments) => {
      const tiny = {
        ...student,
        vocabSize: 64,
        hiddenSize: 32,
        layers: 2,
        heads: 2,
        kvHeads: 1,
        headSize: 16,
        ffnSize: 64,
      };
      const network = await Network.create(
        tiny,
        initialParameters(tiny, () => 0.1),
        { threads: 1, mode: 'training' },
      );
      const optimiser = new AdamW(network.parameters, optimiserSettings.parse({ learningRate: 1e-3, moments }));
      const gradients = new ParameterBuffer(parameterSpecifications(tiny));
      const buffers = [network.parameters.values, gradients.values, ...optimiser.moments.map(({ values }) => values)];
      const [trained] = stepMemory({ model: tiny, ...row, moments }) as [MemoryTerm];
      const found = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
      // The last block of a parameter is whole in memory.
      const filled = ({ size }: { size: number }): number => (moments === undefined ? 0 : (256 - (size % 256)) % 256);
      const blanks = parameterSpecifications(tiny).reduce((sum, each) => sum + filled(each), 0);
      expect(trained.bytes).toBe(found - blanks * (moments === undefined ? 0 : momentBytes({ moments })));
      await network.release();
    },
  );
});
