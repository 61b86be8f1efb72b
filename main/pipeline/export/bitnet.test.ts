/** BitNet b1.58 from its three sources (models/golden/make-bitnet.py): one model, which computes what transformers' BitNetForCausalLM computes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../../native/runtime.ts';
import { plainQuantisation } from '../../contract/quantisation.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors/index.ts';
import { parseConfiguration } from '../../models/architectures/index.ts';
import { tinyConfiguration, tinyParameters, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import { Network } from '../../models/network.ts';
import { loadParameters, modelConfiguration, openModel } from '../../models/open-model.ts';
import { countParameters, ParameterBuffer, parameterSpecifications } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { quantiseMatrix } from '../../models/ternary-weights.ts';
import { TrainingStep } from '../../training/training-step.ts';
import { encodingOf, type GgufType } from './capabilities.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import { writeGgufModel } from './gguf-file.ts';

const golden = fileURLToPath(new URL('../../models/golden/bitnet/', import.meta.url));
const sources = ['master', 'packed', 'packed-divided', 'published.gguf'] as const;
const threads = 1;
let reference: SafetensorsFile;
let ids: Int32Array;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'tritsmith-bitnet-'));
  reference = await openSafetensors(join(golden, 'reference.safetensors'));
  ids = new Int32Array((await reference.readBytes('ids')).slice().buffer);
});
afterAll(async () => {
  await reference.close();
  rmSync(scratch, { recursive: true, force: true });
});

function relativeError(found: Float32Array, wanted: Float32Array): number {
  expect(found.length).toBe(wanted.length);
  let difference = 0;
  let norm = 0;
  wanted.forEach((value, index) => {
    difference += (found[index]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

const row = () => ({
  ids,
  batch: 1,
  length: ids.length,
  lengths: [ids.length],
  targetPositions: Int32Array.from({ length: ids.length - 1 }, (_, position) => position),
  targets: ids.slice(1),
});

describe('the three sources of a BitNet', () => {
  it.each(sources)('%s: the reference’s codes of every matrix, and its scale', async (name) => {
    const path = join(golden, name);
    const configuration = await modelConfiguration(path);
    expect(configuration).toMatchObject({ ternary: true, subln: 'paper', activation: 'relu-squared' });
    const model = await openModel(path);
    let matrices = 0;
    for (const specification of parameterSpecifications(configuration)) {
      if (!specification.ternary) continue;
      const latent = new Float32Array(specification.size);
      await model.read(specification, latent);
      const { values, scales } = quantiseMatrix(latent, specification.shape, plainQuantisation);
      const codes = new Int8Array((await reference.readBytes(`codes.${specification.name}`)).slice().buffer);
      expect(Int8Array.from(values), specification.name).toEqual(codes);
      const [delta] = await reference.readFloat32(`delta.${specification.name}`);
      // A packed folder keeps the scale in bfloat16, of which one unit in the last place is a 128th; divided, its reciprocal.
      expect(Math.abs(scales[0]! / delta! - 1)).toBeLessThan(name.startsWith('packed') ? 2 ** -8 + 1e-6 : 1e-6);
      matrices += 1;
    }
    await model.close();
    expect(matrices).toBe(14);
    expect(model.weights.ternary).toBe(name === 'master' ? 'latent' : 'codes');
  });

  it.each(['master', 'packed', 'packed-divided'] as const)('%s: the logits of transformers', async (name) => {
    const path = join(golden, name);
    const configuration = await modelConfiguration(path);
    const parameters = await loadParameters(path, configuration);
    const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
    const { hidden } = await network.forward(row());
    const head = await ScoringHead.create(network, { threads });
    const logits = await head.logits(hidden, Int32Array.from(ids.keys()));
    const wanted = await reference.readFloat32(name === 'master' ? 'logits' : `logits.${name}`);
    expect(relativeError(logits, wanted)).toBeLessThan(1e-5);
    await head.release();
    await network.release();
  });

  it('the GGUF file in the native runtime: the logits of transformers', async () => {
    const model = loadModel(join(golden, 'published.gguf'), { threads, contextLength: 64, kvType: 'f32' });
    expect(model.info.architecture).toBe('bitnet-b1.58');
    const logits = model.logits(ids);
    model.close();
    const wanted = await reference.readFloat32('logits');
    // Keys and values in float32, as in training; in F16 some of the int8 values that follow are rounded to their neighbours.
    expect(logits.length).toBe(wanted.length);
    expect(relativeError(logits, wanted)).toBeLessThan(1e-5);
  });

  it('a training step of the master: loss and gradients of transformers', async () => {
    const path = join(golden, 'master');
    const configuration = await modelConfiguration(path);
    const network = await Network.create(configuration, await loadParameters(path, configuration), {
      threads,
      mode: 'training',
    });
    const step = await TrainingStep.create(network, null, { threads });
    const gradients = new ParameterBuffer(network.parameters.specifications);
    const { crossEntropy } = await step.run(1, [row()], gradients);
    const [loss] = await reference.readFloat32('loss');
    expect(Math.abs(crossEntropy / loss! - 1)).toBeLessThan(1e-6);
    const given = [...reference.tensors.keys()].filter((name) => name.startsWith('grad.'));
    expect(given.length).toBe(8);
    for (const name of given)
      expect(
        relativeError(gradients.view(name.slice('grad.'.length)), await reference.readFloat32(name)),
        name,
      ).toBeLessThan(1e-4);
    await step.release();
    await network.release();
  });
});

describe('a BitNet in a file of llama.cpp’s types', () => {
  const configuration = tinyConfiguration({ architecture: 'bitnet', activation: 'relu-squared' });
  const write = async (type: GgufType): Promise<{ path: string; parameters: ParameterBuffer }> => {
    const path = join(scratch, `${type}.gguf`);
    const parameters = tinyParameters(configuration);
    const model = { name: type, configuration, tensors: tensorsInMemory(parameters), tokenizer: tokenizerFolder };
    await writeGgufModel(path, model, encodingOf(type, { type, embedding: 'f32' }));
    return { path, parameters };
  };

  it.each(['i2_s', 'q2_0', 'tq2_0', 'tq1_0'] as const)('%s: is a base with the same codes and scales', async (type) => {
    const { path, parameters } = await write(type);
    expect(await modelConfiguration(path)).toMatchObject({ ternary: true, activation: 'relu-squared' });
    const model = await openModel(path);
    expect(model.weights.ternary).toBe('codes');
    for (const specification of parameterSpecifications(configuration)) {
      const { name, size, ternary } = specification;
      const found = new Float32Array(size);
      await model.read(specification, found);
      const wanted = parameters.view(name);
      if (!ternary) {
        expect(found, name).toEqual(wanted);
        continue;
      }
      const [own, original] = [found, wanted].map((each) =>
        quantiseMatrix(each, specification.shape, plainQuantisation),
      );
      expect(own!.values, name).toEqual(original!.values);
      expect(Math.abs(own!.scales[0]! / original!.scales[0]! - 1), name).toBeLessThan(1e-6);
    }
    await model.close();
  });

  it('whose blocks have scales of their own is refused', async () => {
    const { path } = await write('q2_0');
    const file = await openGguf(path);
    const matrix = await file.readBytes('blk.1.attn_q.weight');
    await file.close();
    const bytes = readFileSync(path);
    const at = bytes.indexOf(matrix);
    expect(at).toBeGreaterThan(0);
    // The scale of the first block of a row: it was 1.
    bytes.writeUInt16LE(0x3800, at);
    writeFileSync(path, bytes);
    await expect(loadParameters(path, configuration)).rejects.toMatchObject({
      code: 'unsupported',
      id: 'gguf.several-scales',
    });
  });
});

describe('the published shape', () => {
  it('has as many parameters as the published checkpoints, in the same places', () => {
    const configuration = parseConfiguration(
      JSON.stringify({
        architectures: ['BitNetForCausalLM'],
        hidden_act: 'relu2',
        hidden_size: 2560,
        intermediate_size: 6912,
        max_position_embeddings: 4096,
        model_type: 'bitnet',
        rms_norm_eps: 1e-5,
        num_attention_heads: 20,
        num_hidden_layers: 30,
        num_key_value_heads: 5,
        rope_theta: 500000,
        tie_word_embeddings: true,
        vocab_size: 128256,
        quantization_config: { quant_method: 'bitnet', linear_class: 'autobitlinear', quantization_mode: 'offline' },
      }),
    );
    const { total, body, embedding } = countParameters(configuration);
    expect([total, body, embedding]).toEqual([2_412_820_480, 2_084_044_800, 328_335_360]);
    const specifications = parameterSpecifications(configuration);
    expect(specifications.filter(({ ternary }) => ternary)).toHaveLength(210);
    expect(specifications).toHaveLength(332);
    const norms = specifications.filter(({ shape }) => shape.length === 1).reduce((sum, { size }) => sum + size, 0);
    expect(norms).toBe(437_760 + 2560);
    // The bf16 file, and the I2_S matrices of the GGUF file.
    expect(2 * total + 38_440).toBe(4_825_679_400);
    expect(body / 4 + 210 * 32).toBe(521_017_920);
  });
});
