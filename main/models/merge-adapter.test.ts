import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/index.ts';
import { readAdapter } from './adapter.ts';
import { mergeAdapter } from './merge-adapter.ts';
import { readModelFolder } from './folder-source.ts';

/** Adapters written by peft and what peft merges them to: golden/adapters/make.py. */
const golden = join(import.meta.dirname, 'golden', 'adapters');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-adapter-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

type Tensors = Map<string, { dtype: string; shape: readonly number[]; values: Float32Array }>;

async function tensorsOf(path: string): Promise<Tensors> {
  const file = await openSafetensors(path);
  try {
    const result: Tensors = new Map();
    for (const [name, { dtype, shape }] of file.tensors)
      result.set(name, { dtype, shape, values: await file.readFloat32(name) });
    return result;
  } finally {
    await file.close();
  }
}

async function merge(adapter: string, base = join(golden, 'base')): Promise<Tensors> {
  const found = await readAdapter(adapter);
  const target = join(folder, 'merged');
  await mergeAdapter(found!, base, target);
  return tensorsOf(join(target, 'model.safetensors'));
}

/** A copy of a golden adapter with other settings. */
function adapterWith(name: string, changes: Record<string, unknown>): string {
  const copy = join(folder, name);
  cpSync(join(golden, name), copy, { recursive: true });
  const path = join(copy, 'adapter_config.json');
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...changes }));
  return copy;
}

describe('a LoRA adapter', () => {
  const cases = [
    ['lora', 'a scale of its own for one module', true],
    ['rslora', 'rank-stabilised, with another rank for one module', true],
    ['dora', 'DoRA', true],
    ['bias', 'a bias of its own', true],
    ['tokens', 'tokens that were added', true],
    ['saved-head', 'a head that was trained beside the tied embedding', false],
    ['both-sides', 'changes of both sides of a tied matrix', false],
  ] as const;
  it.each(cases)('becomes what peft merges it to: %s, %s', async (name, _, tied) => {
    const merged = await merge(join(golden, name));
    const expected = await tensorsOf(join(golden, name, 'merged.safetensors'));
    // A tied head is no tensor of the file.
    if (tied) expected.delete('lm_head.weight');
    expect(expected.size).toBeGreaterThan(0);
    for (const [tensor, { shape, values }] of expected) {
      const found = merged.get(tensor);
      expect(found?.shape, tensor).toEqual(shape);
      const error = values.reduce((most, value, index) => Math.max(most, Math.abs(value - found!.values[index]!)), 0);
      expect(error, tensor).toBeLessThan(2e-6);
    }
    const { configuration, findings } = await readModelFolder(join(folder, 'merged'));
    expect(configuration.tiedEmbeddings).toBe(tied);
    expect(configuration.vocabSize).toBe(name === 'tokens' ? 44 : 40);
    expect(findings).toEqual([]);
  });

  it('leaves what it does not touch as it was, bit for bit', async () => {
    const merged = await merge(join(golden, 'dora'));
    const base = await tensorsOf(join(golden, 'base', 'model.safetensors'));
    const touched = await tensorsOf(join(golden, 'dora', 'merged.safetensors'));
    expect([...merged.keys()].sort()).toEqual([...base.keys()].sort());
    for (const [name, tensor] of base) if (!touched.has(name)) expect(merged.get(name), name).toEqual(tensor);
  });

  it('is rounded once, to the type of the base', async () => {
    const merged = await merge(join(golden, 'lora-bf16'), join(golden, 'base-bf16'));
    const expected = await tensorsOf(join(golden, 'lora-bf16', 'merged.safetensors'));
    for (const [name, { values }] of expected) {
      const found = merged.get(name)!;
      expect(found.dtype).toBe('BF16');
      // Sums in another order may fall on the other side of a tie: one step of BF16 then, and seldom.
      const different = values.filter((value, index) => value !== found.values[index]);
      expect(different.length, name).toBeLessThanOrEqual(values.length / 100);
      for (const [index, value] of values.entries())
        expect(Math.abs(value - found.values[index]!)).toBeLessThanOrEqual(Math.abs(value) / 128);
    }
  });

  it('brings its own tokenizer, else the base lends its', async () => {
    const adapter = adapterWith('lora', {});
    const base = join(folder, 'base');
    cpSync(join(golden, 'base'), base, { recursive: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) writeFileSync(join(base, name), '{"of":"base"}');
    writeFileSync(join(adapter, 'tokenizer_config.json'), '{"of":"adapter"}');
    await merge(adapter, base);
    const read = (name: string): string => readFileSync(join(folder, 'merged', name), 'utf8');
    expect([read('tokenizer.json'), read('tokenizer_config.json')]).toEqual(['{"of":"base"}', '{"of":"base"}']);
    rmSync(join(folder, 'merged'), { recursive: true });
    writeFileSync(join(adapter, 'tokenizer.json'), '{"of":"adapter"}');
    await merge(adapter, base);
    expect([read('tokenizer.json'), read('tokenizer_config.json')]).toEqual(['{"of":"adapter"}', '{"of":"adapter"}']);
  });

  const refusals: [string, Record<string, unknown>, string][] = [
    ['another method', { peft_type: 'IA3' }, 'adapter.kind'],
    ['a classifier', { task_type: 'SEQ_CLS' }, 'adapter.kind'],
    ['a start that changed the base', { init_lora_weights: 'pissa_niter_4' }, 'adapter.kind'],
    ['layers that are repeated', { layer_replication: [[0, 1]] }, 'adapter.kind'],
    ['a pattern that is more than a path', { alpha_pattern: { '(a+)+': 3 } }, 'adapter.kind'],
    ['no scale', { lora_alpha: null }, 'adapter.no-alpha'],
  ];
  it.each(refusals)('is refused in words, and leaves nothing: %s', async (_, changes, id) => {
    await expect(merge(adapterWith('lora', { alpha_pattern: {}, ...changes }))).rejects.toMatchObject({ id });
    expect(readdirSync(folder)).toEqual(['lora']);
  });

  it('is refused on a base that it was not made for', async () => {
    const config = JSON.parse(readFileSync(join(golden, 'base', 'config.json'), 'utf8')) as object;
    const base = join(folder, 'base');
    mkdirSync(base);
    writeFileSync(join(base, 'config.json'), JSON.stringify({ ...config, intermediate_size: 8 }));
    const tensors = await tensorsOf(join(golden, 'base', 'model.safetensors'));
    await writeSafetensors(
      join(base, 'model.safetensors'),
      [...tensors].map(([name, { shape, values }]) => {
        const narrow = shape.map((size) => (size === 24 ? 8 : size));
        const size = narrow.reduce((product, dimension) => product * dimension, 1);
        return { name, dtype: 'F32', shape: narrow, data: () => values.subarray(0, size) };
      }),
    );
    await expect(merge(join(golden, 'lora'), base)).rejects.toMatchObject({
      id: 'adapter.other-shape',
      params: { name: 'model.layers.0.mlp.down_proj.weight', shape: [16, 8] },
    });
    expect(existsSync(join(folder, 'merged'))).toBe(false);
  });

  it('is refused where a part is missing, or is there that nobody knows', async () => {
    const parts = await tensorsOf(join(golden, 'lora', 'adapter_model.safetensors'));
    const written = async (name: string, change: (names: string[]) => string[]): Promise<string> => {
      const adapter = join(folder, name);
      mkdirSync(adapter);
      cpSync(join(golden, 'lora', 'adapter_config.json'), join(adapter, 'adapter_config.json'));
      const [first] = parts.values();
      await writeSafetensors(
        join(adapter, 'adapter_model.safetensors'),
        change([...parts.keys()]).map((tensor) => {
          const { shape, values } = parts.get(tensor) ?? first!;
          return { name: tensor, dtype: 'F32', shape, data: () => values };
        }),
      );
      return adapter;
    };
    const lacking = await written('lacking', (names) => names.slice(0, -1));
    await expect(merge(lacking)).rejects.toMatchObject({ id: 'adapter.lacks-part' });
    const unknown = await written('unknown', (names) => [...names, 'base_model.model.model.layers.0.lora_C']);
    await expect(merge(unknown)).rejects.toMatchObject({ id: 'adapter.kind' });
    const elsewhere = await written('elsewhere', (names) => [...names, 'base_model.model.score.weight']);
    await expect(merge(elsewhere)).rejects.toMatchObject({ id: 'adapter.no-place', params: { name: 'score.weight' } });
  });

  it('is refused in pickled form', async () => {
    const adapter = adapterWith('lora', {});
    rmSync(join(adapter, 'adapter_model.safetensors'));
    writeFileSync(join(adapter, 'adapter_model.bin'), '');
    await expect(merge(adapter)).rejects.toMatchObject({ code: 'unsupported', id: 'weights.pickled' });
  });
});
