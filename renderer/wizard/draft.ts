/** What a wizard holds, and how it becomes a recipe. */
import { z } from 'zod';
import type { Recipe } from '../../main/contract/recipe.ts';
import { client } from '../client.ts';
import { setField } from './recipe-fields.ts';

export const steps = ['teacher', 'data', 'recipe', 'machine', 'review'] as const;
export type Step = (typeof steps)[number];

/** Kept as a draft's content; what an older version wrote falls back to its default field by field. */
export const draftContent = z.object({
  step: z.enum(steps).catch('teacher'),
  name: z.string().catch(''),
  teacher: z.string().catch(''),
  train: z.string().catch(''),
  dev: z.string().catch(''),
  devFraction: z.number().min(0.01).max(0.5).catch(0.1),
  kind: z.enum(['classification', 'generation']).nullable().catch(null),
  textColumns: z.array(z.string()).catch([]),
  labelColumn: z.string().catch(''),
  template: z.string().catch(''),
  maxLength: z.number().int().min(8).max(131_072).catch(512),
  /** Longest written answer in tokens; null: a quarter of the row. */
  maxNewTokens: z.number().int().min(1).max(8192).nullable().catch(null),
  corpus: z.string().catch(''),
  /** False while the model in the folder cannot be a teacher. */
  teachable: z.boolean().catch(true),
  /** False while the data file has something that stops a training. */
  trainable: z.boolean().catch(true),
  /** Whether memory and disk of this machine suffice; null: not known. */
  fits: z.boolean().nullable().catch(null),
  preset: z.enum(['quick', 'balanced', 'paper']).catch('quick'),
  /** Expert settings that were changed, by their path in the recipe. */
  changes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).catch({}),
});
export type DraftContent = z.infer<typeof draftContent>;

export function emptyDraft(): DraftContent {
  return draftContent.parse({});
}

/** The task's settings as far as they are known; what is missing is guessed from the file. */
export function taskOf(draft: DraftContent) {
  return {
    train: draft.train,
    ...(draft.dev === '' ? {} : { dev: draft.dev }),
    ...(draft.kind === null ? {} : { kind: draft.kind }),
    ...(draft.textColumns.length === 0 ? {} : { textColumns: draft.textColumns }),
    ...(draft.labelColumn === '' ? {} : { labelColumn: draft.labelColumn }),
    template: draft.template,
    maxLength: draft.maxLength,
    ...(draft.maxNewTokens === null ? {} : { maxNewTokens: draft.maxNewTokens }),
  };
}

/** What a step still lacks before the next one can be gone to; null: nothing. */
export function lackOf(
  draft: DraftContent,
  step: Step,
): 'teacher' | 'teachable' | 'train' | 'columns' | 'trainable' | null {
  if (step === 'teacher') {
    if (draft.teacher === '') return 'teacher';
    return draft.teachable ? null : 'teachable';
  }
  if (step !== 'data') return null;
  if (draft.train === '') return 'train';
  if (!draft.trainable) return 'trainable';
  return draft.textColumns.length === 0 || draft.labelColumn === '' ? 'columns' : null;
}

export function isComplete(draft: DraftContent, step: Step): boolean {
  return lackOf(draft, step) === null;
}

/** The recipe of the draft's or of another preset, with everything that the wizard knows, and the expert's changes. */
export async function recipeOf(draft: DraftContent, preset = draft.preset): Promise<Recipe> {
  const recipe = await client.recipes.preset({
    preset,
    inputs: {
      teacher: draft.teacher,
      train: draft.train,
      textColumns: draft.textColumns,
      labelColumn: draft.labelColumn,
      kind: draft.kind ?? 'classification',
      ...(draft.name.trim() === '' ? {} : { name: draft.name.trim() }),
      ...(draft.dev === '' ? {} : { dev: draft.dev }),
      ...(draft.corpus === '' ? {} : { corpus: draft.corpus }),
    },
  });
  recipe.task.template = draft.template;
  recipe.task.maxLength = Math.min(draft.maxLength, recipe.task.maxLength);
  if (draft.maxNewTokens !== null) recipe.task.maxNewTokens = draft.maxNewTokens;
  recipe.task.devFraction = draft.devFraction;
  for (const [path, value] of Object.entries(draft.changes)) setField(recipe, path, value);
  return recipe;
}
