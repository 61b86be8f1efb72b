import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../../native/index.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { presetInputs, type PresetInputs } from '../../contract/queries.ts';
import { readModelConfiguration } from '../../models/architectures/index.ts';
import { tinyParameters } from '../../models/fixtures/tiny-model.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { makeTinyBase } from '../fixtures/tiny-experiment.ts';
import { makeRecipe } from './presets.ts';

let folder: string;
function writeConfiguration(changes: object): void {
  const config = {
    model_type: 'qwen3',
    hidden_act: 'silu',
    vocab_size: 1536,
    hidden_size: 128,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    max_position_embeddings: 400,
    tie_word_embeddings: true,
    ...changes,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}
/** Writes a small model into the folder. */
async function writeModel(changes: object = {}): Promise<void> {
  writeConfiguration(changes);
  const configuration = await readModelConfiguration(folder);
  await saveModelFolder(folder, folder, configuration, tinyParameters(configuration));
}
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-presets-'));
  await writeModel();
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** As they reach a worker: checked against the contract on the way. */
const inputs = (task: Partial<PresetInputs['task']> = {}, more: Partial<PresetInputs> = {}): PresetInputs =>
  presetInputs.parse({
    preset: 'balanced',
    teacher: folder,
    task: { kind: 'generation', train: 'rows.tsv', textColumns: ['text'], labelColumn: 'answer', ...task },
    ...more,
  });

describe('the maker of recipes', () => {
  it('cuts rows to what the teacher can read, and gives an answer a quarter of the row', async () => {
    const usual = (await makeRecipe(inputs())).task;
    expect([usual.maxLength, usual.maxNewTokens]).toEqual([400, 100]);
    // The quarter is one of the row that was asked for, not of the usual one.
    const short = (await makeRecipe(inputs({ maxLength: 64 }))).task;
    expect([short.maxLength, short.maxNewTokens]).toEqual([64, 16]);
    const own = (await makeRecipe(inputs({ maxLength: 64, maxNewTokens: 40 }))).task;
    expect([own.maxLength, own.maxNewTokens]).toEqual([64, 40]);
  });

  it('reconstructs real models, where nobody said otherwise, and ternary weights get a rate of their own then', async () => {
    const rate = ({ distil }: Recipe) => distil.optimiser.ternaryRate;
    const small = await makeRecipe(inputs());
    expect([small.reconstruct, rate(small)]).toEqual([undefined, undefined]);
    const asked = await makeRecipe(inputs({}, { reconstruct: true }));
    expect([asked.reconstruct?.window, rate(asked)]).toEqual([3, 'auto']);
    // The shape of SmolLM2-135M.
    const shape = { vocab_size: 49_152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30 };
    writeConfiguration({ ...shape, num_attention_heads: 9, num_key_value_heads: 3, head_dim: 64 });
    for (const [preset, more, wanted] of [
      ['quick', {}, true],
      ['balanced', {}, true],
      ['best', {}, true],
      ['paper', {}, false],
      ['balanced', { reconstruct: false }, false],
      ['paper', { reconstruct: true }, true],
    ] as const) {
      const recipe = await makeRecipe(inputs({}, { preset, ...more }));
      expect([recipe.reconstruct !== undefined, rate(recipe) !== undefined]).toEqual([wanted, wanted]);
      const longer = (wanted && preset !== 'paper' ? 4 : 1) * (preset === 'best' ? 4 : 1);
      expect(recipe.distil.epochs).toBe(recipe.finetune!.epochs * longer);
      const rounds = preset !== 'paper' && native.productSets()[0] === 'avx512-bf16';
      expect(recipe.roundedProducts).toBe(rounds ? true : undefined);
    }
    const other = await makeRecipe(inputs({}, { changes: { fixedPointGradients: true } }));
    expect([other.roundedProducts, small.roundedProducts]).toEqual([undefined, undefined]);
  });

  it('makes the student smaller where that is asked for: by fewer layers, or from a base of its own that is trained from its own weights', async () => {
    expect((await makeRecipe(inputs())).cut).toBeUndefined();
    const cut = await makeRecipe(inputs({}, { keepLayers: 1 }));
    expect([cut.cut, cut.distil.studentInit]).toEqual([{ layers: 1 }, 'teacher']);
    const demo = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
    const small = join(folder, 'small');
    await makeTinyBase(small, {
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const own = await makeRecipe({ ...inputs({}, { studentBase: small }), teacher: demo });
    expect([own.studentBase, own.distil.studentInit, own.cut]).toEqual([small, 'base', undefined]);
    expect(own.distil.optimiser.learningRate).toBeGreaterThan(own.finetune!.optimiser.learningRate);
  });

  it('refuses a student base that reads other tokens', async () => {
    const demo = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
    const other = join(folder, 'other');
    await makeTinyBase(other, {
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const path = join(other, 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(path, 'utf8')) as { model: { merges: unknown[] } };
    tokenizer.model.merges.pop();
    writeFileSync(path, JSON.stringify(tokenizer));
    await expect(makeRecipe({ ...inputs({}, { studentBase: other }), teacher: demo })).rejects.toMatchObject({
      id: 'recipe.tokenizers-differ',
    });
  });

  it('chooses an export that holds the student, where nobody asks for one', async () => {
    const types = async (config: object, more: Partial<PresetInputs> = {}): Promise<string[]> => {
      await writeModel(config);
      const { exports } = await makeRecipe(inputs({}, more));
      return exports.map(({ type }) => type);
    };
    const smol = { hidden_size: 576, num_attention_heads: 9, num_key_value_heads: 3, head_dim: 64 };
    const everywhere = { changes: { 'refine.subln': 'all' } };
    expect(await types({})).toEqual(['i2_s']);
    expect(await types(smol)).toEqual(['q2_0']);
    expect(await types({ model_type: 'llama' }, everywhere)).toEqual(['hf']);
    expect(await types({}, { quantisation: { weights: { group: 'row' } } })).toEqual(['q2_0']);
    expect(await types({}, { changes: { 'quantisation.weights.group': 64 } })).toEqual(['q2_0']);
    expect(await types({}, { quantisation: { weights: { scale: 'absmedian', sparsity: '6:8' } } })).toEqual(['i2_s']);
    expect(await types(smol, { quantisation: { activations: { hadamard: true } } })).toEqual(['i2_s']);
    expect(await types({}, { changes: { 'quantisation.activations.bits': 4 } })).toEqual(['i2_s']);
    expect(await types({ model_type: 'llama' }, { ...everywhere, exports: ['onnx', 'hf'] })).toEqual(['onnx', 'hf']);
  });

  it('takes the task as it was described', async () => {
    const task = {
      name: 'Parcels',
      kind: 'classification',
      train: '/data/rows.tsv',
      textColumns: ['a', 'b'],
      labelColumn: 'c',
      template: '{{ a }} {{ b }}',
      devFraction: 0.3,
      limit: 7,
      labelWords: { x: 'yes' },
    } as const;
    expect((await makeRecipe(inputs({ ...task, textColumns: ['a', 'b'] }))).task).toMatchObject(task);
  });

  it('lays changes over the preset last of all; null brings a default back, a skipped stage stays skipped', async () => {
    const plain = await makeRecipe(inputs());
    const changes = { 'distil.tau': 3, 'distil.gammaRatio': null, 'pretrain.tokens': 5000, baseline: false };
    const made = await makeRecipe(inputs({}, { changes }));
    expect(made).toEqual({ ...plain, baseline: false, distil: { ...plain.distil, tau: 3, gammaRatio: 0.5 } });
    expect(plain.distil.gammaRatio).toBe(0.1);
  });

  it('says which change the recipe cannot have', async () => {
    await expect(makeRecipe(inputs({}, { changes: { 'distil.tau': -1 } }))).rejects.toMatchObject({
      code: 'bad-input',
      message: 'The recipe cannot have this value of distil.tau.',
    });
  });
});
