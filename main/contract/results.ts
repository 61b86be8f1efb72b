/** What an experiment found out: the comparison table of teacher, BitNet-SFT and BitDistill student. */
import { z } from 'zod';

export const comparisonRow = z.object({
  name: z.enum(['teacher', 'bitnet-sft', 'bitdistill']),
  /** Share of right answers, or ROUGE-L for generation. */
  accuracy: z.number(),
  /** 95 % Wilson interval (classification) or bootstrap interval (generation). */
  ci95: z.tuple([z.number(), z.number()]),
  /** Bytes of the linear layers (2-bit packed for students, F16 for the teacher). */
  bodyBytes: z.number(),
  /** Bytes of the whole file that a runtime loads. */
  fileBytes: z.number(),
  rssBytes: z.number().nullable(),
  prefillTokensPerSecond: z.number().nullable(),
  decodeTokensPerSecond: z.number().nullable(),
});
export type ComparisonRow = z.infer<typeof comparisonRow>;

export const comparison = z.object({
  rows: z.array(comparisonRow),
  export: z.object({ path: z.string(), type: z.string(), verified: z.boolean() }).nullable(),
  seconds: z.number(),
});
export type Comparison = z.infer<typeof comparison>;

/** Written by the `evaluate` job to `evaluations/<model>.json`. */
export const modelEvaluation = z.object({
  model: z.enum(['teacher', 'bitnet-sft', 'bitdistill']),
  metric: z.enum(['accuracy', 'rougeL']),
  value: z.number(),
  ci95: z.tuple([z.number(), z.number()]),
  rows: z.number(),
  /** Mean cross-entropy of the response, nats per token. */
  crossEntropy: z.number(),
  /** Further scores: `rouge1`, `rouge2`, `rougeLsum`, `bleu4`, `agreementWithTeacher`, `mcnemarP`… */
  scores: z.record(z.string(), z.number()),
  /** Per row: predicted class index, or -1. Empty for generation. */
  predictions: z.array(z.number()),
});
export type ModelEvaluation = z.infer<typeof modelEvaluation>;
