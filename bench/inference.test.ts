import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadModel } from '../native/runtime.ts';
import { compareInference } from './inference.ts';
import { writeStudent, type StudentShape, type WeightType } from '../native/golden/student-files.ts';
import { table } from './table.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

const shape: StudentShape = {
  architecture: 'bitnet',
  width: 256,
  layers: 1,
  ffn: 256,
  heads: 4,
  kvHeads: 4,
  headDim: 64,
  vocabulary: 20_400,
  context: 640,
  ropeBase: 10000,
};
const student = (weights: WeightType): string => {
  const path = join(folder, `${weights}.gguf`);
  writeStudent(path, shape, { weights, table: 'q6_k', tied: true, subln: 'none', seed: 3 });
  return path;
};

it('reports speed, memory and load time of a model in the documented shape', async () => {
  const path = student('i2_s');
  const report = await compareInference({
    model: path,
    threads: [1],
    peer: false,
    rounds: 1,
    layout: 'auto',
    note: () => undefined,
  });
  expect(report.model).toBe('i2_s.gguf');
  expect(report.memoryBandwidthBytesPerSecond).toBeGreaterThan(1e8);
  expect(report.runs).toHaveLength(1);
  const [run] = report.runs;
  expect(run).toMatchObject({ engine: 'tritsmith', type: 'i2_s.gguf', threads: 1, fileBytes: statSync(path).size });
  for (const key of ['prefillTokensPerSecond', 'decodeTokensPerSecond', 'rssBytes', 'loadSeconds'] as const)
    expect(run![key]).toBeGreaterThan(0);
  expect(run!.rssBytes).toBeGreaterThan(run!.fileBytes);
});

it('writes the same ternary weights as I2_S, TQ2_0 and TQ1_0', () => {
  const ids = Int32Array.of(5, 900, 20_000, 17);
  const logits = (['i2_s', 'tq2_0', 'tq1_0'] as const).map((type) => {
    const model = loadModel(student(type), { kvType: 'f32' });
    model.prefill(ids);
    const out = model.lastLogits();
    model.close();
    return out;
  });
  expect(logits[1]).toEqual(logits[0]);
  expect(logits[2]).toEqual(logits[0]);
});

it('aligns columns', () => {
  expect(
    table([
      ['a', 'bb'],
      ['ccc', '1'],
    ]),
  ).toBe('a    bb\nccc   1');
});
