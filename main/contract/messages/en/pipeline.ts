/** What the jobs and answers need of recipes, rows and results. */
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

export const pipeline = {
  'recipe.tokenizers-differ': (): Sentences => ({
    message: 'Teacher and student base have different tokenizers.',
    reason: 'The student learns from what the teacher says about each token, so both must cut text alike.',
    remedy: 'Choose two models of one family, such as Qwen3-1.7B and Qwen3-0.6B.',
  }),
  'recipe.start-of-another-shape': (_: undefined, names: Names): Sentences => ({
    message: "A student with a base of its own can't start from the fine-tuned teacher.",
    reason: 'The two have different shapes.',
    remedy: `Set ${names.setting('distil.studentInit')} to "base".`,
  }),
  'recipe.no-such-layer': ({ layer, layers }: { layer: number; layers: number }, names: Names): Sentences => ({
    message: `The distillation layer ${layer} does not exist.`,
    reason: `The teacher has ${layers} layers, numbered 0 to ${layers - 1}; negative numbers count from the end.`,
    remedy: `Choose another layer (${names.setting('distil.layer')}); the last, -1, is the usual one for small models.`,
  }),
  'rows.no-column': ({
    file,
    missing,
    columns,
    naming,
  }: {
    file: string;
    missing: readonly string[];
    columns: readonly string[];
    naming: 'chosen' | 'as-in-training';
  }): Sentences => ({
    message: `${file} has no column ${missing.map((name) => `"${name}"`).join(', ')}.`,
    reason: `Its columns are ${columns.map((name) => `"${name}"`).join(', ')}.`,
    remedy:
      naming === 'chosen' ? 'Choose the text and label columns again.' : 'Name the columns as in the training rows.',
  }),
  'prompt.empty': (): Sentences => ({
    message: 'The prompt is empty.',
    remedy: 'Give at least one character.',
  }),
  'results.not-evaluated': (): Sentences => ({
    message: 'These models have not been evaluated yet.',
    remedy: 'Wait for the stage "evaluate".',
  }),
  'results.of-other-rows': ({ answers, rows }: { answers: number; rows: number }): Sentences => ({
    message: 'The answers that were kept belong to other rows.',
    reason: `${answers} answers, ${rows} rows`,
    remedy: 'The data file has changed since. Evaluate the experiment again.',
  }),
};
