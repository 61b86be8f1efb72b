/**
 * The recipe: one JSON document that says everything about a run. The wizard edits it, the command line runs it, an
 * experiment stores it. Same recipe, same seed, same machine: same student, bit for bit.
 */
import { z } from 'zod';
import { localPath } from './local-path.ts';
import { quantisationSettings } from './quantisation.ts';
import { readingOptions } from './table-reading.ts';

/** Where SubLN goes (docs/method.md, 3): before `o_proj` and `down_proj` (`paper`), before all seven projections (`all`), nowhere. */
export const sublnPlacement = z.enum(['none', 'paper', 'all']);
export type SublnPlacement = z.infer<typeof sublnPlacement>;

const fraction = z.number().min(0).max(1);

/** AdamW and its learning-rate schedule, of a full-precision model. */
const denseOptimiser = z.object({
  learningRate: z.number().positive().max(1),
  schedule: z.enum(['cosine', 'linear', 'constant']).default('linear'),
  /** Share of the steps in which the learning rate rises from 0. */
  warmup: fraction.default(0.05),
  weightDecay: z.number().min(0).max(1).default(0.01),
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.999),
  epsilon: z.number().positive().default(1e-8),
  /** Largest global L2 norm of the gradient; 0 switches clipping off. */
  clipNorm: z.number().min(0).default(1),
  /**
   * `8-bit`: both moments in a byte for each value, with a scale for every 256 of them (docs/method.md, 5.10); 6 bytes less memory for each trained parameter, and as
   * many less in a checkpoint. Absent: in float32.
   */
  moments: z.enum(['8-bit']).optional(),
  /** Rows (task stages) or packed sequences (pre-training) in one optimiser step. */
  batchSize: z.int().min(1).max(4096).default(32),
  /** Most tokens that one micro-batch may hold, padding included; a step is split into as many as it needs. */
  microBatchTokens: z.int().min(64).max(1_048_576).default(4096),
});

/** The same with what a ternary model adds; shared by every stage that trains a student. */
export const optimiserSettings = denseOptimiser.extend({
  /**
   * Learning rate of the ternary latents in units of their matrix's delta: how far a weight may move in a step at the peak, where 1 is the width of a
   * bin. `auto`: a hundredth of a bin (docs/results.md, "Rates in units of delta"). Absent: `learningRate`, whatever the size of the weights.
   */
  ternaryRate: z.union([z.number().positive().max(1), z.literal('auto')]).optional(),
});
export type OptimiserSettings = z.infer<typeof optimiserSettings>;

/** How long a task stage trains: `steps` wins over `epochs` where both are given. */
const length = z.object({
  epochs: z.number().positive().max(1000).default(1),
  steps: z.int().positive().optional(),
});

/** What recipes that are made now say of how a file becomes rows. */
export const newestRules = 2;

export const taskSettings = z.object({
  name: z.string().min(1).max(200),
  kind: z.enum(['classification', 'generation']),
  train: localPath(),
  /** Evaluation rows; without it `devFraction` of the training rows is held out. */
  dev: localPath().optional(),
  devFraction: z.number().min(0.01).max(0.5).default(0.1),
  /** Columns that the template may use, by their names in the file. */
  textColumns: z.array(z.string()).min(1),
  /** Class (classification) or reference answer (generation). */
  labelColumn: z.string(),
  /** Jinja template of the prompt over the columns; empty: the columns one below the other. */
  template: z.string().default(''),
  /** Class value -> the words that the model answers with; empty: chosen from the class values. */
  labelWords: z.record(z.string(), z.string()).default({}),
  /** Longest prompt plus response in tokens; longer prompts lose tokens in the middle of the text, never the response. */
  maxLength: z.int().min(8).max(131_072).default(512),
  /** Longest generated answer in tokens. */
  maxNewTokens: z.int().min(1).max(8192).default(128),
  /** Use only the first N training rows (after the shuffle by seed). */
  limit: z.int().positive().optional(),
  /**
   * How the file becomes rows, labels and answers; absent: as version 0.1 did. 2: labels are cleaned (composed accents, no zero-width characters), values
   * that stand for no label are left out, every class is held out in proportion, and where the tokens of one answer begin another's, all answers end with
   * the end token (docs/method.md, 10).
   */
  rules: z.literal(newestRules).optional(),
  /** Label values that differ only in case, blanks or the way a number is written are one class: the most frequent spelling. */
  mergeLabels: z.boolean().optional(),
  /** Label values that stand for no label; absent: they are recognised. None: `[]`. */
  unlabelled: z.array(z.string()).max(100).optional(),
  /** Rows with the same value in this column are held out together. Without effect where there is an evaluation file. */
  groupColumn: z.string().optional(),
  /** The newest rows by this column are held out. Without effect where there is an evaluation file. */
  timeColumn: z.string().optional(),
  /** How the files are read, where it is not what is found out. */
  reading: readingOptions.optional(),
});
export type TaskSettings = z.infer<typeof taskSettings>;

export const distilSettings = z.object({
  ...length.shape,
  optimiser: optimiserSettings,
  /** Weight of the logits term (Eq. 13). */
  lambda: z.number().min(0).default(10),
  /** Weight of the attention-relation term, in the paper's units, or set from measured gradient norms. */
  gamma: z.union([z.number().min(0), z.literal('balanced')]).default('balanced'),
  /** With `balanced`: the attention term's gradient norm as a share of the other terms' norm. */
  gammaRatio: z.number().positive().default(0.5),
  /** Weight of the hidden-state term (docs/method.md, 5.5); teacher and student must have the same width. Absent: without it, as the paper. */
  hidden: z.number().positive().optional(),
  /** Softmax temperature of the logits term. */
  tau: z.number().positive().default(5),
  /** Multiply the logits term by tau^2 (released code: yes, paper: no). */
  tauSquared: z.boolean().default(false),
  /** Tokens that the logits term covers: the response (Eq. 8-9) or every token (released code). */
  logitsTokens: z.enum(['response', 'all']).default('response'),
  /**
   * How much each of them counts, by what the teacher makes of the token that follows (docs/method.md, 5.2): more where it finds it unlikely (`tsld`), or, where it
   * is sure, more of the divergence the other way round (`cakld`). Absent: all the same.
   */
  tokenWeights: z.enum(['tsld', 'cakld']).optional(),
  /** Teacher layer of the relation term, from 0; negative counts from the end. The student uses the layer at the same relative depth. */
  layer: z.int().default(-1),
  /** Relation heads; `auto` takes the largest power of two up to 32 that divides every width into pieces of at least 8. */
  splitHeads: z.union([z.int().positive(), z.literal('auto')]).default('auto'),
  /** Start the student's weights from the base model or from the fine-tuned teacher (shapes must agree). */
  studentInit: z.enum(['base', 'teacher']).default('base'),
  /** Share of the steps in which the student's weights go evenly from full precision to ternary; absent: ternary from the first step. */
  anneal: z.number().min(0).max(1).optional(),
  /** Share of the steps in which the student's codes are soft and harden, with exact gradients (docs/method.md, 3.1); absent: hard from the first step. */
  soften: z.number().min(0).max(1).optional(),
  /**
   * Ask the teacher once about each row and keep what it gives in files (of at most 8 GB), instead of in each of several passes. Which other rows share a
   * micro-batch with a row differs then, so that the last digits do.
   */
  teacherOnce: z.boolean().optional(),
  /**
   * Of the logits of a teacher that is asked once, keep only so many likeliest next tokens of each token and the sum of all others (docs/method.md, 5.9); the
   * teacher is asked once then in any case. Absent: its whole logits.
   */
  teacherTop: z.int().min(1).max(1024).optional(),
});
export type DistilSettings = z.infer<typeof distilSettings>;

export const pretrainSettings = z.object({
  /** Text or JSONL file, or a folder of such files. */
  corpus: localPath(),
  /** Tokens to train on. */
  tokens: z.int().positive(),
  sequenceLength: z.int().min(8).max(131_072).default(256),
  /** As in Stage 3. */
  soften: z.number().min(0).max(1).optional(),
  optimiser: optimiserSettings,
});
export type PretrainSettings = z.infer<typeof pretrainSettings>;

/** Between Stage 1 and Stage 2: each window of layers is trained, by itself, to give the full-precision model's outputs (docs/method.md, 3.1). */
export const reconstructSettings = z.object({
  /** Passes over the rows, for each window. */
  ...length.shape,
  /** Decoder layers that are trained together. */
  window: z.int().min(1).max(8).default(3),
  /** Share of the steps of a window in which its codes harden from nearly full precision; 0: hard from the first step. */
  soften: fraction.default(0.8),
  /** Of the student's learning rates in Stages 2 and 3 so much is taken after it: higher ones undo it within a few steps. The baseline keeps its own. */
  laterRates: z.number().positive().max(1).default(0.2),
  /** Text without labels beside the task's rows: a text or JSONL file, or a folder of such files. */
  corpus: localPath().optional(),
  /** Most tokens that are read of it. */
  tokens: z.int().positive().default(1_000_000),
  /** Its tokens in one row. */
  sequenceLength: z.int().min(8).max(131_072).default(128),
  optimiser: optimiserSettings,
});
export type ReconstructSettings = z.infer<typeof reconstructSettings>;

/** Between Stage 1 and the stages that train: codes chosen layer by layer, by what enters them (docs/method.md, 3.2). */
export const calibrateSettings = z.object({
  method: z.enum(['gptq', 'awq']),
  /** Training rows that are looked at. */
  rows: z.int().min(1).max(100_000).default(128),
  /** GPTQ: what is added to the diagonal of the Hessian, in units of its mean. */
  damping: z.number().positive().max(1).default(0.01),
});
export type CalibrateSettings = z.infer<typeof calibrateSettings>;

export const finetuneSettings = z.object({ ...length.shape, optimiser: denseOptimiser });
export type FinetuneSettings = z.infer<typeof finetuneSettings>;

/** What decides which step is kept: accuracy, the mean of the classes' F1 (for classes of unequal size), or the cross-entropy of the answers. */
export const deciding = z.enum(['accuracy', 'macro-f1', 'cross-entropy']);
export type Deciding = z.infer<typeof deciding>;

/** Keep the step that was best on rows that nobody trains on, instead of the last one, in every stage that trains on the task. */
export const keepBestSettings = z.object({
  /** Written answers have no classes: for them it is always the cross-entropy. */
  measure: deciding,
  /** Training rows that are set apart to choose with, at most a fifth of all; never the evaluation rows. */
  rows: z.int().min(1).max(100_000).default(256),
  /** Steps from one look at them to the next; the last step is always looked at. */
  everySteps: z.int().positive().default(50),
  /** The stage ends when so many looks in a row found nothing better; 0: never. */
  patience: z.int().min(0).default(0),
});
export type KeepBestSettings = z.infer<typeof keepBestSettings>;

/**
 * Type of an exported file (docs/exports.md). From the student: `i2_s` (bitnet.cpp), `q2_0`, `tq2_0` and `tq1_0` (llama.cpp), `t3_4` (Tritsmith, of students with exactly three of four weights), `hf` (a Hugging Face
 * folder), `onnx`. From the fine-tuned teacher: `f16`, and for comparison `q8_0` and `q4_0`.
 */
export const exportType = z.enum(['i2_s', 'q2_0', 'tq2_0', 'tq1_0', 't3_4', 'hf', 'onnx', 'f16', 'q8_0', 'q4_0']);
export type ExportType = z.infer<typeof exportType>;

/** Whether our native runtime executes an export of this type, so that it answers and is measured. */
export function runsInRuntime({ type }: { readonly type: string }): boolean {
  return ['i2_s', 'q2_0', 'tq2_0', 'tq1_0', 't3_4', 'f16', 'q8_0'].includes(type);
}

/** How embedding and head are stored in a GGUF file; the other formats keep them in F16 or F32. */
export const embeddingType = z.enum(['f16', 'f32', 'q8_0', 'q6_k']);
export type EmbeddingType = z.infer<typeof embeddingType>;

export const exportSettings = z.object({
  type: exportType,
  embedding: embeddingType.default('f16'),
  /** Keep only the tokens that the task's data, its template and the special tokens can produce, and the bytes (task students). */
  pruneVocabulary: z.boolean().optional(),
});
export type ExportSettings = z.infer<typeof exportSettings>;

/** Rows that the teacher writes itself (docs/method.md, 5.8): beginnings of training rows that it goes on from. */
export const teacherWrites = z.object({
  rows: z.int().min(1).max(200_000),
  /** Of the sampling; 0: always the likeliest token. */
  temperature: z.number().min(0).max(5).default(0.9),
  /** Training rows that it is shown before each. */
  examples: z.int().min(0).max(32).default(4),
});
export type TeacherWrites = z.infer<typeof teacherWrites>;

export const recipeSchema = z.object({
  version: z.literal(1).default(1),
  name: z.string().min(1).max(200),
  preset: z.enum(['quick', 'balanced', 'best', 'paper', 'custom']).default('custom'),
  seed: z.int().min(0).max(0xffff_ffff).default(1),
  /** Hugging Face folder of the full-precision base model. */
  teacher: localPath(),
  /** Smaller base for the student with the same tokenizer; absent: the teacher's own base. */
  studentBase: localPath().optional(),
  task: taskSettings,
  /** Rows without labels: the fine-tuned teacher answers them, and the student learns from them too (docs/method.md, 5.8). */
  moreRows: z
    .object({
      /** As the training file, but that it needs no label column. */
      file: localPath(),
      /** So many are read at most. */
      rows: z.int().min(1).max(200_000),
    })
    .optional(),
  /** Rows that the teacher writes, and answers as those of `moreRows`; absent: none. */
  teacherWrites: teacherWrites.optional(),
  /** Fine-tuning of the teacher on the task; null: the folder already holds a fine-tuned teacher. */
  finetune: finetuneSettings.nullable(),
  /** Make the student of only so many of its start's decoder layers, those that its answers need most; absent: of all of them. */
  cut: z.object({ layers: z.int().min(1).max(1000) }).optional(),
  /**
   * The teacher is ternary already, with its latent weights (BitNet b1.58 2B4T in BF16), and is trained further as it is: without Stage 1, and nothing else
   * is compared with but the model as it came.
   */
  continueTernary: z.literal(true).optional(),
  /** Stage 1. */
  refine: z.object({
    subln: sublnPlacement.default('paper'),
    /** Weight of a new norm: 1 (paper) or the root mean square of the activations at that place. */
    sublnInit: z.enum(['ones', 'calibrated']).default('calibrated'),
    /** Drop the QKV bias of a Qwen2 student so that formats without it can hold the result. */
    dropQkvBias: z.boolean().default(false),
  }),
  /** How the linear layers of student and baseline are rounded; absent: as in BitNet b1.58. */
  quantisation: quantisationSettings.optional(),
  /** GPTQ or AWQ; absent: the student starts from the codes that its quantiser makes of the weights. */
  calibrate: calibrateSettings.optional(),
  /** Window reconstruction; absent: skipped. */
  reconstruct: reconstructSettings.optional(),
  /** Stage 2; null: skipped. */
  pretrain: pretrainSettings.nullable(),
  /** Stage 3. */
  distil: distilSettings,
  /** Also train BitNet-SFT (quantise, then fine-tune with cross-entropy), the paper's baseline, for the same number of steps. */
  baseline: z.boolean().default(true),
  /** Save a checkpoint every so many optimiser steps or minutes, whichever comes first. */
  checkpoint: z
    .object({ steps: z.int().positive().default(500), minutes: z.number().positive().default(5) })
    .default({ steps: 500, minutes: 5 }),
  /** Recompute each layer's activations in the backward pass: less memory, about a third more time. */
  recomputeActivations: z.boolean().default(false),
  /**
   * Gradients of the ternary layers in 16-bit fixed point instead of float32: up to a fifth less time, and differences far below those between seeds.
   * Needs a processor with integer dot products; without effect where weights are annealed or softened, where a matrix has several scales, and in a stage
   * that ends with inputs of 4 bits.
   */
  fixedPointGradients: z.boolean().optional(),
  /**
   * Large matrix products of training have factors rounded to bfloat16 and float32 sums (docs/architecture.md, "Engine"): much faster on AMD's
   * processors with AVX512-BF16, the same bits on all others.
   */
  roundedProducts: z.boolean().optional(),
  /**
   * 0: as many as there are cores. Another number may change the last digits of float32 products and, from there, the student: a run that is resumed
   * with another number goes on, but is not bit for bit the uninterrupted one (docs/architecture.md, "Engine").
   */
  threads: z.int().min(0).max(1024).default(0),
  /**
   * What trains: the processor (absent: that too) or the graphics card (docs/architecture.md, "Graphics cards"). As with `threads`, a run may go on with the
   * other, and is then not bit for bit the uninterrupted one. Scores are computed on the processor either way.
   */
  engine: z.enum(['cpu', 'gpu']).optional(),
  /**
   * Parts of a step whose gradients are added in a fixed tree: any number of ranks that divides it trains the same student, bit for bit, with the same
   * `threads` (each rank's; they decide the result then). Absent: a step is one sum, and one process takes it.
   */
  shards: z.literal([2, 4, 8, 16, 32, 64]).optional(),
  /**
   * Parts of a step, a divisor of `shards`, whose gradients are rounded to bfloat16 before they are added; what rounding leaves out is carried over to the next step.
   * As many ranks exchange half of the bytes; fewer, of which each has several parts, train the same student bit for bit (docs/method.md, 12). Absent: nothing
   * is rounded.
   */
  roundedExchange: z.literal([2, 4, 8, 16, 32, 64]).optional(),
  evaluation: z
    .object({
      /** Rows per evaluation during training, for the accuracy curve; 0: only at the end. They cost about a fiftieth of the time. */
      rowsDuringTraining: z.int().min(0).default(128),
      everySteps: z.int().min(0).default(50),
    })
    .default({ rowsDuringTraining: 128, everySteps: 50 }),
  /** Absent: the last step is kept. */
  keepBest: keepBestSettings.optional(),
  exports: z.array(exportSettings).default([{ type: 'i2_s', embedding: 'f16' }]),
});
export type Recipe = z.infer<typeof recipeSchema>;
export type RecipeInput = z.input<typeof recipeSchema>;
