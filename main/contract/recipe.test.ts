/** A recipe that is stored and read again is the same recipe (property; the seed is printed when it fails). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { embeddingType, exportType, recipeSchema } from './recipe.ts';

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const positive = (max: number) => fc.double({ min: 1e-9, max, noNaN: true });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const optional = { requiredKeys: ['learningRate'] as ['learningRate'] };
const optimiser = fc.record(
  {
    learningRate: positive(1),
    schedule: fc.constantFrom('cosine', 'linear', 'constant'),
    warmup: share,
    clipNorm: positive(10),
    batchSize: fc.integer({ min: 1, max: 4096 }),
    microBatchTokens: fc.integer({ min: 64, max: 1_048_576 }),
  },
  optional,
);
const stage = fc.record(
  { epochs: positive(1000), steps: fc.integer({ min: 1, max: 1e9 }), optimiser },
  { requiredKeys: ['optimiser'] },
);
const recipe = fc.record(
  {
    name,
    seed: fc.integer({ min: 0, max: 0xffff_ffff }),
    teacher: name,
    studentBase: name,
    task: fc.record(
      {
        name,
        kind: fc.constantFrom('classification', 'generation'),
        train: name,
        dev: name,
        devFraction: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
        textColumns: fc.array(name, { minLength: 1, maxLength: 3 }),
        labelColumn: name,
        template: fc.string({ unit: 'grapheme' }),
        labelWords: fc.dictionary(name, name, { maxKeys: 3 }),
        limit: fc.integer({ min: 1, max: 1e9 }),
        rules: fc.constant(2 as const),
        mergeLabels: fc.boolean(),
        unlabelled: fc.array(name, { maxLength: 3 }),
        groupColumn: name,
        timeColumn: name,
      },
      { requiredKeys: ['name', 'kind', 'train', 'textColumns', 'labelColumn'] },
    ),
    finetune: fc.option(stage),
    refine: fc.record({ subln: fc.constantFrom('none', 'paper', 'all'), dropQkvBias: fc.boolean() }),
    pretrain: fc.option(fc.record({ corpus: name, tokens: fc.integer({ min: 1 }), optimiser })),
    distil: fc
      .tuple(stage, fc.record({ lambda: share, gamma: fc.oneof(share, fc.constant('balanced')), tau: positive(100) }))
      .map(([length, more]) => ({ ...length, ...more })),
    exports: fc.array(
      fc.record(
        {
          type: fc.constantFrom(...exportType.options),
          embedding: fc.constantFrom(...embeddingType.options),
          pruneVocabulary: fc.boolean(),
        },
        { requiredKeys: ['type'] },
      ),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: ['name', 'teacher', 'task', 'finetune', 'refine', 'pretrain', 'distil'] },
);

describe('a recipe', () => {
  it('is the same after it was stored as JSON and read again, with every default filled in once', () => {
    fc.assert(
      fc.property(recipe, (written) => {
        const parsed = recipeSchema.parse(written);
        expect(recipeSchema.parse(JSON.parse(JSON.stringify(parsed)))).toEqual(parsed);
        expect(parsed).toMatchObject({ name: written.name, task: { train: written.task.train } });
      }),
      { numRuns: 200 },
    );
  });
});
