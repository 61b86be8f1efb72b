import { describe, expect, it } from 'vitest';
import { fieldKind, fieldOf, setField } from '../../main/contract/recipe-fields.ts';
import { type Recipe, recipeSchema } from '../../main/contract/recipe.ts';
import { texts } from '../texts.ts';
import { expertSettings } from './expert-settings.ts';
import { readSetting, type SettingValue } from './read-setting.ts';

const optimiser = { learningRate: 1e-4 };
const recipe: Recipe = recipeSchema.parse({
  name: 'sample',
  teacher: 'teacher',
  task: { name: 'task', kind: 'classification', train: 'train.tsv', textColumns: ['text'], labelColumn: 'label' },
  finetune: { optimiser },
  refine: {},
  quantisation: {
    weights: { scale: 'absmedian', group: 'row', sparsity: '6:8' },
    activations: { hadamard: true, bits: 4, eightBitShare: 0.5 },
  },
  calibrate: { method: 'gptq' },
  reconstruct: { optimiser },
  pretrain: { corpus: 'corpus.txt', tokens: 1000, optimiser },
  distil: { optimiser },
  keepBest: { measure: 'accuracy' },
});
function leaves(value: unknown, path = ''): string[] {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}
const setting = (path: string) => expertSettings.find((each) => each.path === path)!;
const read = (path: string, text: string) => readSetting(recipe, setting(path), text);

describe('expert settings', () => {
  it('are every field of a recipe that the steps of the wizard do not ask for', () => {
    const asked = /^(version|name|preset|teacher|exports|task\.|pretrain\.corpus)/;
    const paths = expertSettings.map(({ path }) => path);
    expect(leaves(recipe).filter((path) => !asked.test(path) && !paths.includes(path))).toEqual([]);
  });

  it('have a name and a sentence on their effect each', () => {
    const { settings } = texts.wizard.recipe;
    const without = expertSettings.filter(({ path }) => {
      const words = settings[path] ?? settings[`*.${path.slice(path.indexOf('.') + 1)}`];
      return words === undefined || !words.effect.endsWith('.');
    });
    expect(without.map(({ path }) => path)).toEqual([]);
  });

  it('are what the schema of the recipe lets them be', () => {
    expect(setting('refine.subln')).toMatchObject({ kind: 'choice', options: ['none', 'paper', 'all'] });
    expect(setting('distil.optimiser.schedule')).toMatchObject({ options: ['cosine', 'linear', 'constant'] });
    expect(setting('distil.gamma')).toMatchObject({ kind: 'number', words: ['balanced'] });
    expect(setting('distil.splitHeads')).toMatchObject({ kind: 'whole', words: ['auto'] });
    expect(setting('distil.anneal')).toMatchObject({ kind: 'number' });
    expect(setting('fixedPointGradients')).toMatchObject({ kind: 'switch' });
    expect(setting('threads')).toMatchObject({ kind: 'whole' });
    expect(setting('quantisation.activations.hadamard')).toMatchObject({ kind: 'switch' });
    expect(setting('quantisation.activations.bits')).toMatchObject({ kind: 'whole' });
    expect(() => fieldKind('distil.heat')).toThrow('no field distil.heat');
    expect(() => fieldKind('distil.optimiser')).toThrow('more than one setting');
  });

  it('take every value that the recipe has, unchanged', () => {
    for (const each of expertSettings) {
      const value = (fieldOf(recipe, each.path) ?? null) as SettingValue;
      expect([each.path, readSetting(recipe, each, value === null ? '' : String(value))]).toEqual([
        each.path,
        { value },
      ]);
    }
  });

  it('make what holds them where the recipe lacks it and it may be empty', () => {
    const bare: Recipe = { ...recipe, quantisation: undefined, keepBest: undefined };
    const made = structuredClone(bare);
    setField(made, 'quantisation.weights.group', 'row');
    expect(made.quantisation).toEqual({ weights: { group: 'row' } });
    setField(made, 'quantisation.weights.group', null);
    expect(made.quantisation).toEqual({ weights: {} });
    setField(made, 'keepBest.rows', 3);
    expect(made.keepBest).toBeUndefined();
    const untouched = structuredClone(bare);
    setField(untouched, 'quantisation.weights.group', null);
    expect(untouched).toEqual(bare);
  });

  it('say what is wrong with a value that the recipe would refuse', () => {
    expect(read('distil.optimiser.learningRate', 'fast')).toEqual({ problem: 'This must be a number.' });
    expect(read('distil.optimiser.learningRate', '-1')).toEqual({ problem: 'This must be above 0.' });
    expect(read('distil.optimiser.learningRate', '')).toEqual({ problem: 'This cannot be left empty.' });
    expect(read('distil.optimiser.beta1', '1.5')).toEqual({ problem: 'This must be at most 1.' });
    expect(read('distil.optimiser.batchSize', '2.5')).toEqual({ problem: 'This must be a whole number.' });
    expect(read('distil.optimiser.batchSize', '0')).toEqual({ problem: 'This must be at least 1.' });
    expect(read('quantisation.weights.group', '100')).toMatchObject({
      problem: expect.stringContaining('64') as string,
    });
    expect(read('quantisation.weights.group', 'block')).toEqual({
      problem: 'This must be a number, “tensor” or “row”.',
    });
    expect(read('distil.gamma', 'heavy')).toEqual({ problem: 'This must be a number or “balanced”.' });
    expect(read('distil.gamma', '-2')).toEqual({ problem: 'This must be at least 0.' });
  });

  it('take numbers, words, a decimal comma, and nothing where there is a default', () => {
    expect(read('distil.gamma', '1e5')).toEqual({ value: 100_000 });
    expect(read('distil.gamma', ' balanced ')).toEqual({ value: 'balanced' });
    expect(read('distil.splitHeads', 'auto')).toEqual({ value: 'auto' });
    expect(read('distil.tau', '2,5')).toEqual({ value: 2.5 });
    expect(read('distil.steps', '')).toEqual({ value: null });
    expect(read('quantisation.weights.group', '128')).toEqual({ value: 128 });
    expect(read('quantisation.weights.group', 'row')).toEqual({ value: 'row' });
    expect(read('baseline', 'false')).toEqual({ value: false });
  });
});
