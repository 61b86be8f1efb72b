import { describe, expect, it } from 'vitest';
import type { DiskTerm, MemoryTerm, ModelForecast, RecipeForecast, ResourceTerm } from '../../estimates.ts';
import { sumOf } from '../../quantities.ts';
import { message, render } from '../message.ts';

const memory: MemoryTerm[] = [
  { id: 'trained', bytes: 596e6 * 16, params: { parameters: 596e6, bytesEach: 16 } },
  { id: 'teacher', bytes: 596e6 * 4, params: { parameters: 596e6, bytesEach: 4 } },
  { id: 'ternary', bytes: 440e6 * 5, params: { parameters: 440e6, bytesEach: 5 } },
  { id: 'activations', bytes: 1.4e9, params: { tokens: 2048, layers: 28, recomputed: false } },
  { id: 'sessions', bytes: 0.36e9, params: { tokens: 2048, layers: 6 } },
  { id: 'relation', bytes: 67e6, params: { heads: 32, rowLength: 128 } },
  { id: 'logits', bytes: 4 * 263 * 151_936 * 6, params: { rows: 263, vocabulary: 151_936, buffers: 6 } },
  { id: 'head-gradient', bytes: 622e6, params: { parameters: 155.6e6, buffers: 1 } },
  { id: 'shard-sums', bytes: 12e6, params: { parameters: 1e6, buffers: 3 } },
  { id: 'exchange-rests', bytes: 16e6, params: { parameters: 1e6, parts: 2 } },
  { id: 'engine', bytes: 0.2e9, params: {} },
];
const disk: DiskTerm[] = [
  {
    id: 'checkpoint-files',
    bytes: 2 * 12 * 596e6,
    params: { stage: 'finetune', generations: 2, parameters: 596e6, bytesEach: 12 },
  },
  {
    id: 'checkpoint-files',
    bytes: 12 * 597e6,
    params: { stage: 'distil', generations: 1, parameters: 597e6, bytesEach: 12 },
  },
  {
    id: 'model',
    bytes: 4 * 596e6 + 11e6,
    params: { stage: 'distil', parameters: 596e6, bytesEach: 4, tokenizerBytes: 11e6 },
  },
  { id: 'tokens', bytes: 2e6, params: { stage: 'finetune', tokens: 480_000 } },
  { id: 'export', bytes: 432e6, params: { type: 'i2_s', model: 'bitdistill' } },
];

const memoryText = (terms: readonly MemoryTerm[]): string =>
  render(message('estimate.memory', { stage: 'distil', terms })).message.replace(/^.*?Stage 3: /, '');
const diskText = (terms: readonly DiskTerm[]): string => render(message('estimate.disk', { terms })).message;
const timeText = (forecast: RecipeForecast): string => render(message('estimate.time', forecast)).message;

const units: Record<string, number> = { million: 1e6, billion: 1e9, kB: 1e3, MB: 1e6, GB: 1e9 };

/** Every figure in a sentence, its unit multiplied in. */
function figures(text: string): number[] {
  return [...text.matchAll(/(?<![\w-])(\d[\d,]*(?:\.\d+)?)(?: (million|billion|kB|MB|GB)\b)?/g)].map(
    ([, digits, unit]) => Number(digits!.replaceAll(',', '')) * (unit === undefined ? 1 : units[unit]!),
  );
}

/** Three digits are shown. */
const near = (actual: number[], wanted: number[]): void => {
  expect(actual.length).toBe(wanted.length);
  actual.forEach((value, index) => {
    expect(value / wanted[index]!).toBeCloseTo(1, 2);
  });
};
const numbersOf = ({ params }: ResourceTerm): number[] =>
  Object.values(params).filter((value): value is number => typeof value === 'number');

describe('an estimate in words', () => {
  it.each(memory)('names the figures and the bytes of $id', (term) => {
    const text = memoryText([term]);
    const wanted = [...numbersOf(term), term.bytes, term.bytes];
    near(
      figures(text).sort((a, b) => a - b),
      wanted.sort((a, b) => a - b),
    );
  });

  it('says where the moments are bytes', () => {
    const params = { parameters: 596e6, bytesEach: 10.03125 };
    const said = (moments: { moments?: '8-bit' }): string =>
      memoryText([{ id: 'trained', bytes: 596e6 * 10.03125, params: { ...params, ...moments } }]);
    expect(said({})).toContain('596 million parameters × 10 bytes (weight, gradient, two moments): ');
    expect(said({ moments: '8-bit' })).toContain('(weight, gradient, two moments in a byte each): ');
  });

  it('ends with the sum of its terms', () => {
    near(figures(memoryText(memory)).slice(-1), [sumOf(memory)]);
    near(figures(diskText(disk)).slice(-1), [sumOf(disk)]);
  });

  it('follows the terms: another size of a ternary weight is another sentence', () => {
    const said = (bytesEach: number) =>
      memoryText([{ id: 'ternary', bytes: 440e6 * bytesEach, params: { parameters: 440e6, bytesEach } }]);
    expect(said(5)).toContain('440 million weights that become ternary × 5 bytes more: 2.20 GB');
    expect(said(4)).toContain('× 4 bytes more: 1.76 GB');
  });

  it('puts checkpoints of several stages together, and speaks of no best one', () => {
    const text = diskText(disk);
    expect(text).toContain('2 of fine-tuning of the teacher with 596 million parameters × 12 bytes');
    expect(text).toContain('1 of Stage 3 with 597 million parameters × 12 bytes: 21.5 GB');
    expect(text).toContain('the last and, once there are several, the one before');
    expect(text).not.toMatch(/best/);
  });

  it('says how long each stage takes and where that comes from', () => {
    const stage = (kind: 'finetune' | 'baseline', steps: number, low: number, high: number) => ({
      kind,
      steps,
      tokens: 60_000,
      work: 3e12,
      seconds: { low, high },
      travel: null,
      memory: [],
      disk: [],
    });
    const forecast: RecipeForecast = {
      parameters: 1e6,
      size: {
        rows: 1,
        tokens: 1,
        answerTokens: 1,
        longestRow: 1,
        longestAnswer: 1,
        evaluationRows: 1,
        evaluationTokens: 1,
      },
      stages: [stage('finetune', 600, 20, 130), stage('baseline', 180, 8.5, 44)],
      basis: { speed: { low: 8e9, high: 60e9 }, cores: 2, overhead: { low: 0.8, high: 8 }, measured: null },
      warnings: [],
    };
    const guessed = timeText(forecast);
    near(figures(guessed), [120_000, 6000, 4, 30, 2, 0.8, 8, 2, 600, 20, 130, 180, 8.5, 44]);
    const measured = { steps: 20, secondsPerStep: 0.123, tokensPerSecond: 9876 };
    const rehearsed = timeText({ ...forecast, basis: { ...forecast.basis, measured } });
    near(figures(rehearsed).slice(0, 7), [20, 0.123, 9876, 120_000, 6000, 8, 60]);
    expect(rehearsed).toMatch(/^20 steps took 0\.123 s each here/);
  });

  it('tells the largest model that fits, and what a run of the smallest keeps', () => {
    const model = { name: 'Qwen3-0.6B', memory, disk };
    const models = [model];
    const total = 64e9;
    const memoryOf = (largest?: ModelForecast) =>
      render(message('machine.memory', { total, free: 8e9, models, largest })).reason;
    const roomIn = (free: number) => render(message('machine.disk', { free, smallest: model })).reason!;
    expect(memoryOf(model)).toMatch(/^The largest Qwen3 that can be distilled here is Qwen3-0.6B/);
    expect(memoryOf()).toMatch(/^Too little to distil Qwen3-0.6B/);
    near(figures(roomIn(1e9)).slice(-1), [sumOf(disk)]);
    expect(roomIn(1e9)).toMatch(/^Enough for small students/);
    expect(roomIn(1e12)).toMatch(/^Enough: /);
  });
});
