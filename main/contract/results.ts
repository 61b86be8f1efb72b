/** What an experiment found out: the comparison table of teacher, 4-bit teacher, BitNet-SFT and BitDistill student. */
import { z } from 'zod';
import { spokenFields, told } from './messages/told-schema.ts';
import { comparedModels, trainedModels } from './model-names.ts';
import { runVerdict } from './queries.ts';
import { embeddingType, exportType } from './recipe.ts';

export const trainedModel = z.enum(trainedModels);
export const comparedModel = z.enum(comparedModels);

export const comparisonRow = z.object({
  name: comparedModel,
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
  /** One request of the task: its median prompt read and its median answer begun to end; null where not measured. */
  requestSeconds: z.number().nullable().default(null),
});
export type ComparisonRow = z.infer<typeof comparisonRow>;

/** One proof that was tried on an exported file. */
export const exportCheck = z.object({
  /** `tensors`: read back and compared; `parser`: `@huggingface/gguf`; `runtime`: our runtime beside the graph engine; `onnx`: ONNX Runtime; `llama.cpp`: that program, where it is installed. */
  name: z.enum(['tensors', 'parser', 'runtime', 'llama.cpp', 'onnx', 'accuracy']),
  passed: z.boolean(),
  /** One sentence with the figures; `id` and `params` say it in the words of a surface. */
  text: z.string(),
  ...spokenFields,
  figures: z.record(z.string(), z.number()),
});
export type ExportCheck = z.infer<typeof exportCheck>;

/** What pruning the vocabulary saved. */
export const vocabularyPruning = z.object({
  tokensBefore: z.number(),
  tokensAfter: z.number(),
  /** Bytes of the file that the dropped rows would have taken. */
  savedBytes: z.number(),
});
export type VocabularyPruning = z.infer<typeof vocabularyPruning>;

/** One exported file or folder of an experiment. */
export const exportedFile = z.object({
  model: trainedModel,
  /** Relative to the experiment's folder. */
  path: z.string(),
  type: z.string(),
  embedding: z.string().optional(),
  /** `general.architecture` of a GGUF file. */
  architecture: z.string().optional(),
  verified: z.boolean(),
  /** Bytes of the linear layers alone, and of everything that a runtime loads. */
  bodyBytes: z.number(),
  fileBytes: z.number(),
  /** Share of zeros among the ternary weights. */
  zeroFraction: z.number().optional(),
  pruning: vocabularyPruning.nullable().optional(),
  checks: z.array(exportCheck).optional(),
  /** Which programs run it, from what is in it; absent for what is no GGUF file. */
  verdicts: z.array(runVerdict).optional(),
  /** Programs that are meant to run the file but that it was not tried in here, and why. */
  untried: z.array(z.object({ program: z.string(), reason: z.string(), ...spokenFields })).optional(),
  /** Restrictions that a user should know. */
  notes: z.array(told).optional(),
  /** Nobody asked for it: it runs in Tritsmith alone, so that its model is measured and tried. */
  own: z.boolean().optional(),
  /** Which weights it was made of: size and time of the model's file. */
  source: z.string().optional(),
});
export type ExportedFile = z.infer<typeof exportedFile>;

/** An export that a recipe asked for and that could not be written, and why. */
export const failedExport = z.object({
  model: trainedModel,
  type: exportType,
  embedding: embeddingType,
  problem: told,
});
export type FailedExport = z.infer<typeof failedExport>;

/** A typical request of a task. `answerTokens` is 1 for a class: its scores come with the last token of the prompt. */
export const typicalRequest = z.object({ promptTokens: z.number(), answerTokens: z.number() });
export type TypicalRequest = z.infer<typeof typicalRequest>;

/** How a model was measured alone in a process. */
export const measurement = z.object({
  rssBytes: z.number(),
  prefillTokensPerSecond: z.number(),
  decodeTokensPerSecond: z.number(),
  requestSeconds: z.number().nullable().default(null),
  threads: z.number(),
});
export type Measurement = z.infer<typeof measurement>;

/** As it lies in the experiment's folder. */
export const storedComparison = z.object({
  rows: z.array(comparisonRow),
  /** The request that `requestSeconds` times. */
  request: typicalRequest.nullable().default(null),
  /** `path` is relative to the experiment's folder. */
  export: z.object({ path: z.string(), type: z.string(), verified: z.boolean() }).nullable(),
  /** Every export, with its proofs and sizes. */
  exports: z.array(exportedFile).optional(),
  /** What was asked for and could not be written. */
  failedExports: z.array(failedExport).optional(),
});
export type StoredComparison = z.infer<typeof storedComparison>;

/** As the workbench tells it: the path of `export` is absolute. */
export const comparison = storedComparison.extend({
  /** Spent on all stages in all sessions. */
  seconds: z.number(),
});
export type Comparison = z.infer<typeof comparison>;

/** How far a model's score lies from another's on the same rows. */
export const modelDifference = z.object({
  from: comparedModel,
  /** Own score minus the other's (0.01 is one point), with its 95 % interval. */
  value: z.number(),
  low: z.number(),
  high: z.number(),
  /** Exact McNemar test; null for texts, which the interval alone compares. */
  mcnemarP: z.number().nullable(),
});
export type ModelDifference = z.infer<typeof modelDifference>;

/** The rows whose likeliest class has at least this probability, and how many of them are right. */
export const surePoint = z.object({
  atLeast: z.number(),
  rows: z.number(),
  right: z.number(),
  /** Of the share of right ones. */
  ci95: z.tuple([z.number(), z.number()]),
});
export type SurePoint = z.infer<typeof surePoint>;

/** Whether a classifier's scores can be taken as probabilities (docs/method.md, 11). */
export const scoreCalibration = z.object({
  /** Scores divided by it are the probabilities that are told; fitted on the evaluation rows. */
  temperature: z.number().positive(),
  /** Expected calibration error of the scores as they are. */
  errorBefore: z.number(),
  /** The same with a temperature, each row with one that was not fitted on it; so are the shares below. */
  error: z.number(),
  sure: z.array(surePoint),
});
export type ScoreCalibration = z.infer<typeof scoreCalibration>;

/** What the `evaluate` job found out about one model. */
export const modelEvaluation = z.object({
  model: comparedModel,
  metric: z.enum(['accuracy', 'rougeL']),
  value: z.number(),
  ci95: z.tuple([z.number(), z.number()]),
  rows: z.number(),
  /** Rows of the evaluation file, where only `rows` of them were drawn. */
  drawnFrom: z.number().optional(),
  /** Mean cross-entropy of the response, nats per token. */
  crossEntropy: z.number(),
  /** Further scores: `rouge1`, `rouge2`, `rougeLsum`, `bleu4`, `perplexity`, `agreementWithTeacher`. */
  scores: z.record(z.string(), z.number()),
  /** From each other model that was evaluated on the same rows. */
  differences: z.array(modelDifference).default([]),
  /** Per row: predicted class index, or -1. Empty for generation. */
  predictions: z.array(z.number()),
  /** Per row: the text that was written. Empty for classification. */
  answers: z.array(z.string()).default([]),
  request: typicalRequest.optional(),
  /** Of a classifier; absent in what earlier versions evaluated, and where there are too few rows. */
  calibration: scoreCalibration.optional(),
});
export type ModelEvaluation = z.infer<typeof modelEvaluation>;
