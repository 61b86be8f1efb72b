import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { plainQuantisation } from '../contract/quantisation.ts';
import { hadamardBlock, type ModelConfiguration } from './configuration.ts';
import { tinyConfiguration, tinyParameters, writeTinySource } from './fixtures/tiny-model.ts';
import { saveModelFolder } from './model-folder.ts';
import { loadParameters, modelConfiguration } from './open-model.ts';
import { turnRows } from './turned-weights.ts';

describe('turned weights', () => {
  it('are a Hadamard matrix away, and twice is once back', () => {
    const values = Float32Array.from([1, 2, 3, 4, 0, 1, 0, 0]);
    turnRows(values, 4);
    expect([...values]).toEqual([5, -1, -2, 0, 0.5, -0.5, 0.5, -0.5]);
    turnRows(values, 4);
    expect([...values]).toEqual([1, 2, 3, 4, 0, 1, 0, 0]);
  });

  it('compute from turned inputs what the weights computed before', () => {
    const random = new Random(7);
    const draw = () => Float32Array.from({ length: 96 }, () => random.uniform() - 0.5);
    const [x, w] = [draw(), draw()];
    const product = (): number => x.reduce((sum, value, at) => sum + value * w[at]!, 0);
    const before = product();
    turnRows(x, 32);
    turnRows(w, 32);
    expect(product()).toBeCloseTo(before, 5);
  });

  it('are made where a model is loaded as a student that turns its inputs, once', async () => {
    const root = mkdtempSync(join(tmpdir(), 'tritsmith-turned-'));
    const [base, saved] = [join(root, 'base'), join(root, 'saved')];
    const dense = tinyConfiguration({ ternary: false, subln: 'none', hiddenSize: 64, headSize: 16, ffnSize: 96 });
    await writeTinySource(base, dense);
    await saveModelFolder(base, base, dense, tinyParameters(dense));
    const student: ModelConfiguration = {
      ...dense,
      ternary: true,
      quantisation: { ...plainQuantisation, activations: { hadamard: true, bits: 8 } },
    };
    expect(hadamardBlock(student, 'down')).toBe(32);
    expect(hadamardBlock(student, 'up')).toBe(1);
    expect(hadamardBlock({ ...student, ternary: false }, 'down')).toBe(1);
    const plain = await loadParameters(base, dense);
    const turned = await loadParameters(base, student);
    for (const { name, local } of plain.specifications) {
      const expected = Float32Array.from(plain.view(name));
      if (local === 'o') turnRows(expected, hadamardBlock(student, 'o'));
      if (local === 'down') turnRows(expected, 32);
      expect(turned.view(name), local).toEqual(expected);
    }
    await saveModelFolder(saved, base, student, turned);
    expect((await modelConfiguration(saved)).quantisation).toEqual(student.quantisation);
    expect((await loadParameters(saved, student)).values).toEqual(turned.values);
    rmSync(root, { recursive: true });
  });
});
