/** Model folders as people have them: what is accepted gives the same weights, what is refused says why and what to do. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TensorToWrite, writeSafetensors } from '../../formats/safetensors/index.ts';
import { readModelConfiguration } from '../../models/architectures/index.ts';
import {
  tinyConfiguration,
  tinyParameters,
  tokenizerFolder,
  writeTinySource,
} from '../../models/fixtures/tiny-model.ts';
import { readModelFolder } from '../../models/folder-source.ts';
import { loadParameters } from '../../models/open-model.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { openTensorSource } from '../export/tensor-source.ts';
import { foreseeTeacher, inspectTeacher } from './inspect-teacher.ts';
import { mergeTeacher } from './merge-teacher.ts';

const adapters = fileURLToPath(new URL('../../models/golden/adapters', import.meta.url));
const model = tinyConfiguration({
  ternary: false,
  subln: 'none',
  hiddenSize: 128,
  headSize: 32,
  ffnSize: 128,
  layers: 2,
});
const parameters = tinyParameters(model);
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-folders-'));
  await writeTinySource(folder, model);
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(tokenizerFolder, name), join(folder, name));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Changes config.json; a setting that becomes undefined is left out. */
function configure(changes: Record<string, unknown>): void {
  const path = join(folder, 'config.json');
  const config = { ...(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>), ...changes };
  writeFileSync(path, JSON.stringify(config));
}

const tensor = (name: string, shape: readonly number[], values: Float32Array): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: () => values,
});
const embedding = (): Float32Array => parameters.view('model.embed_tokens.weight');
const embeddingShape = [model.vocabSize, model.hiddenSize];
const other = (): Float32Array =>
  embedding().map((value, index) => (index === embedding().length - 1 ? value + 1 : value));

/** Writes the weights under other names, and more of them. */
async function write(
  more: readonly TensorToWrite[] = [],
  nameOf: (name: string) => string = (name) => name,
  metadata: Record<string, string> = {},
): Promise<void> {
  const own = parameters.specifications.map(({ name, shape }) => tensor(nameOf(name), shape, parameters.view(name)));
  await writeSafetensors(join(folder, 'model.safetensors'), [...own, ...more], { format: 'pt', ...metadata });
}

async function loaded(): Promise<ParameterBuffer> {
  return loadParameters(folder, (await readModelFolder(folder)).configuration);
}

const warningsOf = async (): Promise<(string | undefined)[]> =>
  (await inspectTeacher(folder)).warnings.map(({ id }) => id);
const idsOf = async () => {
  const { supported, problem } = await inspectTeacher(folder);
  return { supported, problem: problem?.id };
};

describe('names of tensors', () => {
  const prefixes = [
    'model.',
    '',
    'language_model.model.',
    'model.language_model.',
    'module.model.',
    '_orig_mod.model.',
  ];
  it.each(prefixes)('stand after "%s" and mean the same', async (prefix) => {
    await write([], (name) => prefix + name.slice('model.'.length));
    expect(await idsOf()).toEqual({ supported: true, problem: undefined });
    expect((await loaded()).values).toEqual(parameters.values);
    const source = await openTensorSource(folder, (await readModelFolder(folder)).configuration);
    expect(await source.read('model.layers.1.mlp.up_proj.weight')).toEqual(
      parameters.view('model.layers.1.mlp.up_proj.weight'),
    );
    await source.close();
  });

  it.each(['language_model.lm_head.weight', 'lm_head.weight'])('are found for the head: %s', async (head) => {
    configure({ tie_word_embeddings: false });
    const prefix = head.startsWith('language') ? 'language_model.model.' : 'model.language_model.';
    await write([tensor(head, embeddingShape, other())], (name) => prefix + name.slice('model.'.length));
    const buffer = await loaded();
    expect(buffer.view('lm_head.weight')).toEqual(other());
  });

  it('beside the language model are left out, and counted', async () => {
    const picture = tensor('vision_tower.encoder.layers.0.mlp.fc1.weight', [2], new Float32Array(2));
    await write([picture]);
    expect(await warningsOf()).toEqual(['teacher.beside']);
    expect((await loaded()).values).toEqual(parameters.values);
  });

  it.each([
    ['model.layers.0.self_attn.q_proj.bias', 'a bias'],
    ['model.layers.2.mlp.up_proj.weight', 'a layer more'],
  ])('that would change the model are refused: %s, %s', async (name) => {
    await write([tensor(name, [2], new Float32Array(2))]);
    expect(await idsOf()).toEqual({ supported: false, problem: 'model.surplus' });
    await expect(loaded()).rejects.toMatchObject({ code: 'unsupported', params: { count: 1, names: [name] } });
  });

  it('of tables that everybody computes are passed over', async () => {
    await write([tensor('model.layers.0.self_attn.rotary_emb.inv_freq', [2], new Float32Array(2))]);
    expect(await idsOf()).toEqual({ supported: true, problem: undefined });
  });
});

describe('a head that is tied to the embedding', () => {
  it('may be stored once more', async () => {
    await write([tensor('lm_head.weight', embeddingShape, embedding())]);
    expect(await warningsOf()).toEqual([]);
    expect((await readModelFolder(folder)).configuration.tiedEmbeddings).toBe(true);
  });

  it('is one of its own where the weights hold another, and that is said', async () => {
    await write([tensor('lm_head.weight', embeddingShape, other())]);
    expect(await warningsOf()).toEqual(['teacher.head-although-tied']);
    expect((await loaded()).view('lm_head.weight')).toEqual(other());
  });

  it('is refused where config.json wants one of its own and there is none', async () => {
    configure({ tie_word_embeddings: false });
    await write();
    expect(await idsOf()).toEqual({ supported: false, problem: 'model.no-head' });
    await expect(loaded()).rejects.toMatchObject({ code: 'unsupported' });
  });

  it('may be named as the same tensor by the file itself', async () => {
    configure({ tie_word_embeddings: false });
    await write([], undefined, { 'lm_head.weight': 'model.embed_tokens.weight' });
    expect(await idsOf()).toEqual({ supported: true, problem: undefined });
  });

  it('is assumed where config.json is silent and there is no head, and that is said', async () => {
    configure({ tie_word_embeddings: undefined });
    await write();
    expect(await warningsOf()).toEqual(['teacher.head-left-out']);
  });
});

describe('quantised weights', () => {
  const said: [Record<string, unknown>, string][] = [
    [{ quantization_config: { quant_method: 'fp8', fmt: 'e4m3' } }, 'FP8'],
    [{ quantization_config: { quant_method: 'gptq', bits: 4 } }, 'GPTQ, 4-bit'],
    [{ quantization_config: { quant_method: 'awq', bits: 4, version: 'gemm' } }, 'AWQ, 4-bit'],
    [{ quantization_config: { quant_method: 'bitsandbytes', load_in_8bit: true } }, 'bitsandbytes, 8-bit'],
    [{ quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } }, 'bitsandbytes, 4-bit'],
    [
      { quantization_config: { quant_method: 'compressed-tensors', format: 'int-quantized' } },
      'compressed-tensors, int-quantized',
    ],
    [{ quantization: { bits: 4, group_size: 64 } }, 'MLX, 4-bit'],
    [{ quantization_config: { quant_method: 'of-tomorrow' } }, 'of-tomorrow'],
  ];
  it.each(said)('are named as config.json has them: %j', async (changes, quantisation) => {
    configure(changes);
    await write();
    const card = await inspectTeacher(folder);
    expect(card).toMatchObject({ supported: false, architecture: 'llama' });
    expect(card.problem).toMatchObject({ id: 'model.quantised', params: { quantisation, original: null } });
    // Nothing but config.json is needed to know it, so it is known before a download.
    const foreseen = foreseeTeacher(remote());
    expect(foreseen.problem).toEqual(card.problem);
  });

  const stored: [string, string][] = [
    ['model.layers.0.mlp.up_proj.qweight', 'GPTQ or AWQ'],
    ['model.layers.0.mlp.up_proj.weight.absmax', 'bitsandbytes, 4-bit'],
    ['model.layers.0.mlp.up_proj.SCB', 'bitsandbytes, 8-bit'],
    ['model.layers.0.mlp.up_proj.weight_packed', 'compressed-tensors'],
    ['model.layers.0.mlp.up_proj.weight_scale', 'FP8 or int8 with scales'],
  ];
  it.each(stored)('are known by their tensors where config.json is silent: %s', async (name, quantisation) => {
    await write([tensor(name, [2], new Float32Array(2))]);
    expect((await inspectTeacher(folder)).problem).toMatchObject({ params: { quantisation } });
    await expect(loaded()).rejects.toMatchObject({ code: 'unsupported', id: 'model.quantised' });
  });

  it('are known by their type alone', async () => {
    const codes = { name: 'x.up_proj.weight', dtype: 'U8', shape: [4], data: () => new Uint8Array(4) } as const;
    await write([codes]);
    expect((await inspectTeacher(folder)).problem).toMatchObject({ params: { quantisation: 'U8' } });
    expect(foreseeTeacher(remote({ weightTypes: ['BF16', 'F8_E4M3'] })).problem).toMatchObject({
      id: 'model.quantised',
      params: { quantisation: 'FP8' },
    });
  });

  it('name the model that they were made of, where the folder tells it', async () => {
    await write();
    configure({ quantization_config: { quant_method: 'awq', bits: 4 }, _name_or_path: 'acme/original' });
    expect((await inspectTeacher(folder)).problem?.text).toContain(
      'Choose the model from which it was made, acme/original',
    );
    writeFileSync(join(folder, 'README.md'), '---\nlicense: mit\nbase_model:\n- acme/named-by-its-card\n---\n');
    expect((await inspectTeacher(folder)).problem).toMatchObject({ params: { original: 'acme/named-by-its-card' } });
    expect(foreseeTeacher(remote({ original: 'acme/by-a-tag' })).problem?.text).toContain('acme/by-a-tag');
  });
});

describe('the class', () => {
  it.each(['LlamaForSequenceClassification', 'LlamaForTokenClassification', 'LlamaForQuestionAnswering'])(
    '%s is refused',
    async (className) => {
      configure({ architectures: [className] });
      await write([tensor('score.weight', [2], new Float32Array(2))]);
      const { problem } = await inspectTeacher(folder);
      expect(problem).toMatchObject({ id: 'model.writes-no-text', params: { className } });
      await expect(loaded()).rejects.toMatchObject({ code: 'unsupported' });
      expect(foreseeTeacher(remote()).problem).toEqual(problem);
    },
  );

  it('of a trunk without its head is accepted where the embedding serves as one, and said', async () => {
    configure({ architectures: ['LlamaModel'] });
    await write([], (name) => name.slice('model.'.length));
    expect(await warningsOf()).toEqual(['teacher.trunk-alone']);
  });

  it('with code of its own is read as its family, and said', async () => {
    configure({ auto_map: { AutoModelForCausalLM: 'modeling.Own' } });
    await write();
    expect(await warningsOf()).toEqual(['teacher.own-code']);
  });
});

describe('the tokenizer', () => {
  it('is refused with more tokens than the embedding has rows', async () => {
    const path = join(folder, 'tokenizer.json');
    const definition = JSON.parse(readFileSync(path, 'utf8')) as { added_tokens: { id: number; content: string }[] };
    definition.added_tokens.push({ ...definition.added_tokens[0]!, id: model.vocabSize, content: '<one more>' });
    writeFileSync(path, JSON.stringify(definition));
    await write();
    const card = await inspectTeacher(folder);
    expect(card).toMatchObject({ supported: false, problem: { id: 'teacher.unusable-tokenizer' } });
    expect(card.problem?.text).toContain(`ids up to ${String(model.vocabSize)}`);
  });

  it('is needed', async () => {
    await write();
    rmSync(join(folder, 'tokenizer.json'));
    expect(await idsOf()).toEqual({ supported: false, problem: 'teacher.unusable-tokenizer' });
    expect(foreseeTeacher(remote({ tokenizerBytes: 0 }))).toMatchObject({
      supported: false,
      problem: { id: 'teacher.no-tokenizer' },
    });
  });
});

describe('files', () => {
  it.each(['pytorch_model.bin', 'pytorch_model-00001-of-00002.bin', 'consolidated.00.pth'])(
    'that are pickled are not opened: %s',
    async (name) => {
      writeFileSync(join(folder, name), '');
      const { problem } = await inspectTeacher(folder);
      expect(problem).toMatchObject({ id: 'weights.pickled', params: { name } });
      expect(problem?.text).toContain('safetensors');
    },
  );

  it('of an index that are missing are named', async () => {
    const map = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    await expect(inspectTeacher(folder)).rejects.toMatchObject({ id: 'shards.missing', params: { count: 2 } });
  });
});

describe('an adapter', () => {
  it('asks for its base by name', async () => {
    const card = await inspectTeacher(join(adapters, 'lora'));
    expect(card).toMatchObject({ supported: false, architecture: 'LoRA adapter', adapter: { base: 'acme/base' } });
    expect(card.problem).toMatchObject({ id: 'adapter.needs-base', params: { base: 'acme/base' } });
  });

  it('beside a whole model is passed over', async () => {
    await write();
    writeFileSync(join(folder, 'adapter_config.json'), '{"peft_type":"LORA"}');
    expect(await idsOf()).toEqual({ supported: true, problem: undefined });
  });

  it('leaves nothing where the merged model can be no teacher', async () => {
    const target = join(folder, 'merged');
    const folders = { adapter: join(adapters, 'lora'), base: join(adapters, 'base'), target };
    await expect(mergeTeacher(folders)).rejects.toMatchObject({ id: 'teacher.unusable' });
    mkdirSync(target);
    await expect(mergeTeacher({ ...folders, adapter: folder })).rejects.toMatchObject({ id: 'adapter.none' });
  });
});

function remote(more: Partial<Parameters<typeof foreseeTeacher>[0]> = {}) {
  return {
    gguf: null,
    folder,
    configuration: readFileSync(join(folder, 'config.json'), 'utf8'),
    licence: null,
    weightBytes: 1,
    weightFiles: 1,
    tokenizerBytes: 1,
    weightTypes: ['BF16'],
    original: null,
    ...more,
  };
}

it('reads the same configuration as before where nothing is odd', async () => {
  await write();
  expect((await readModelFolder(folder)).configuration).toEqual(await readModelConfiguration(folder));
});
