/** Questions about single rows: what the model sees of a data file, and where two models answer differently. */
import { z } from 'zod';
import { localPath } from './local-path.ts';
import { studentModel, teacherModel } from './model-names.ts';
import { taskSettings } from './recipe.ts';
import { comparedModel } from './results.ts';

export const previewRequest = z.object({
  settings: taskSettings.partial().extend({ train: localPath() }),
  teacher: localPath().optional(),
  /** First row, from 0. */
  offset: z.int().min(0).default(0),
  count: z.int().min(1).max(50).default(8),
});
export type PreviewRequest = z.infer<typeof previewRequest>;

export const previewRow = z.object({
  /** Row number in the file, from 1. */
  row: z.number(),
  /** The prompt as the model sees it, template applied. */
  prompt: z.string(),
  answer: z.string(),
  tokens: z.number().nullable(),
  /** The text that is lost because the prompt is too long; null when nothing is. */
  cut: z.string().nullable(),
});
export const previewAnswer = z.object({ rows: z.array(previewRow), maxLength: z.number() });
export type PreviewAnswer = z.infer<typeof previewAnswer>;

/** What label words are chosen from: found out once for a file and its settings, then given to the questions about further rows. */
export const previewSurvey = z.object({
  /** Digest of the file's state and of the settings. */
  key: z.string(),
  /** Rows of each label value. */
  counts: z.array(z.tuple([z.string(), z.number()])),
  /** How the first usable row's prompt ends. */
  tail: z.string(),
});
export type PreviewSurvey = z.infer<typeof previewSurvey>;

export const differencesRequest = z.object({
  folder: z.string(),
  first: comparedModel.default(teacherModel),
  second: comparedModel.default(studentModel),
  limit: z.int().min(1).max(200).default(50),
});
export type DifferencesRequest = z.infer<typeof differencesRequest>;

export const differencesAnswer = z.object({
  /** Class values in the order of the matrices; empty for generation. */
  labels: z.array(z.string()),
  /** `counts[gold][predicted]` for each model; empty for generation. */
  confusion: z.array(z.object({ model: comparedModel, counts: z.array(z.array(z.number())), macroF1: z.number() })),
  rows: z.number(),
  /** Rows on which the two answers are not the same, and on how many of them which one scores higher. */
  differing: z.number(),
  firstBetter: z.number(),
  secondBetter: z.number(),
  examples: z.array(
    z.object({
      row: z.number(),
      prompt: z.string(),
      gold: z.string(),
      first: z.string(),
      second: z.string(),
      /** 1 or 0 for a right or wrong class, ROUGE-L for a text. */
      firstScore: z.number(),
      secondScore: z.number(),
    }),
  ),
});
export type DifferencesAnswer = z.infer<typeof differencesAnswer>;
