/** Folders as transformers sees them: golden/make.py ran these very weights (their hash is in the golden file) and left its logits. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../../native/index.ts';
import { openSafetensors } from '../../formats/safetensors/index.ts';
import { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { tinyConfiguration, tinyParameters, writeTinySource } from '../../models/fixtures/tiny-model.ts';
import { cases, prompts } from './golden/cases.ts';
import { writeHuggingFaceFolder } from './hugging-face-folder.ts';
import { unpackRows } from '../../models/ternary-codes.ts';
import { packRows } from './hugging-face-layout.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';

interface Golden {
  transformers: string;
  cases: Record<string, { class: string; weights: string; unpacked: string; logits: string[] }>;
}
const golden = JSON.parse(readFileSync(new URL('golden/huggingface.json', import.meta.url), 'utf8')) as Golden;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tritsmith-hf-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function exportCase(name: string, embedding: 'F16' | 'F32' = 'F32') {
  const configuration = cases[name]!;
  const source = join(root, `${name}-source`);
  await writeTinySource(source, configuration);
  const parameters = tinyParameters(configuration);
  const folder = join(root, `${name}-${embedding}`);
  const result = await writeHuggingFaceFolder(
    folder,
    { configuration, tensors: tensorsInMemory(parameters), source, card: '# card\n' },
    embedding,
  );
  return { configuration, parameters, folder, result };
}

describe.each(Object.keys(cases))('the folder of %s', (name) => {
  it('has the bytes that transformers ran, which unpacked them to the student’s ternary values and scales', async () => {
    const { folder, parameters } = await exportCase(name);
    expect(sha256(await readFile(join(folder, 'model.safetensors')))).toBe(golden.cases[name]!.weights);
    const hash = createHash('sha256');
    const modules = parameters.specifications
      .filter(({ ternary }) => ternary)
      .map((specification) => ({ ...specification, module: specification.name.replace(/\.weight$/, '') }))
      .sort((a, b) => (a.module < b.module ? -1 : 1));
    for (const { name: parameter, module, size } of modules) {
      const values = new Float32Array(size);
      const { delta } = native.quantiseTernary(parameters.view(parameter), values);
      hash.update(module).update(Int8Array.from(values)).update(Float32Array.of(delta));
    }
    expect(hash.digest('hex')).toBe(golden.cases[name]!.unpacked);
  });

  it('gives in transformers the logits of the graph engine', async () => {
    const { configuration, parameters } = await exportCase(name);
    const network = await Network.create(configuration, parameters, { threads: 1, mode: 'inference' });
    const head = await ScoringHead.create(network, { threads: 1 });
    let exact = 0;
    for (const [index, prompt] of prompts.entries()) {
      const { hidden } = await network.forward({ ids: Int32Array.from(prompt), batch: 1, length: prompt.length });
      const ours = await head.logits(hidden, Int32Array.of(prompt.length - 1));
      const bytes = Uint8Array.from(Buffer.from(golden.cases[name]!.logits[index]!, 'base64'));
      const theirs = new Float32Array(bytes.buffer);
      const largest = ours.reduce((most, value, at) => Math.max(most, Math.abs(value - theirs[at]!)), 0);
      if (largest <= 1e-4) exact += 1;
      // Where it is not exact, an int8 rounding fell the other way in float32 sums of another order.
      expect(largest).toBeLessThan(0.25);
      expect(theirs.indexOf(Math.max(...theirs))).toBe(ours.indexOf(Math.max(...ours)));
    }
    await head.release();
    await network.release();
    expect(exact).toBeGreaterThanOrEqual(2);
  });
});

describe('the folder', () => {
  it('names its architecture and how its linear layers are stored', async () => {
    const { folder, result } = await exportCase('llama-paper', 'F16');
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      model_type: 'bitnet',
      architectures: ['BitNetForCausalLM'],
      hidden_act: 'silu',
      quantization_config: {
        quant_method: 'bitnet',
        linear_class: 'autobitlinear',
        quantization_mode: 'offline',
        use_rms_norm: false,
      },
    });
    expect(golden.cases['llama-paper']!.class).toBe('BitNetForCausalLM');
    expect(golden.cases['qwen3-paper']!.class).toBe('Qwen3ForCausalLM');
    expect(await readdir(folder)).toEqual(
      expect.arrayContaining(['README.md', 'config.json', 'generation_config.json', 'model.safetensors']),
    );
    const weights = 2 * (128 * 128 * 2 + 128 * 64 * 2 + 3 * 128 * 256);
    expect(result.bodyBytes).toBe(weights / 4 + 14 * 4);
    expect(result.checks).toMatchObject([{ name: 'tensors', passed: true, figures: { tensors: 38 - 0 } }]);
  });

  it.each(['learned', 'deviation'] as const)(
    'has the scales and codes of the student where they are %s',
    async (scale) => {
      const configuration = tinyConfiguration({
        architecture: 'qwen2',
        quantisation: { weights: { scale, group: 'tensor' } },
      });
      const source = join(root, `${scale}-source`);
      await writeTinySource(source, configuration);
      const parameters = tinyParameters(configuration);
      const folder = join(root, scale);
      const model = { configuration, tensors: tensorsInMemory(parameters), source, card: '# card\n' };
      await writeHuggingFaceFolder(folder, model, 'F32');
      const network = await Network.create(configuration, parameters, { threads: 1, mode: 'training' });
      const file = await openSafetensors(join(folder, 'model.safetensors'));
      for (const { name, ternary } of parameters.specifications) {
        if (!ternary) continue;
        const { values, delta } = network.ternary(name);
        expect((await file.readFloat32(`${name}_scale`))[0], name).toBe(delta);
        expect(unpackRows(await file.readBytes(name)).every((value, at) => value === values[at])).toBe(true);
      }
      // A bias is divided by the scale of its matrix.
      const matrix = 'model.layers.1.self_attn.k_proj.weight';
      const bias = matrix.replace('weight', 'bias');
      const { delta } = network.ternary(matrix);
      expect(await file.readFloat32(bias)).toEqual(parameters.view(bias).map((value) => value / delta));
      await file.close();
      await network.release();
    },
  );

  it('packs four row quarters into a byte', () => {
    const values = Float32Array.of(1, -1, 0, 0, -1, 1, 1, 1);
    expect([...packRows(values, 4, 2)]).toEqual([
      2 | (1 << 2) | (0 << 4) | (2 << 6),
      0 | (1 << 2) | (2 << 4) | (2 << 6),
    ]);
    expect([...unpackRows(packRows(values, 4, 2))]).toEqual([...values]);
  });

  it('refuses a full-precision model', async () => {
    const configuration = tinyConfiguration({ ternary: false, subln: 'none' });
    const model = { configuration, tensors: tensorsInMemory(tinyParameters(configuration)), source: root, card: '' };
    await expect(writeHuggingFaceFolder(join(root, 'full'), model, 'F32')).rejects.toMatchObject({
      code: 'unsupported',
    });
    expect(await readdir(root)).not.toContain('full');
  });
});
