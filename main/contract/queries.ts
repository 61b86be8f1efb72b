/** Short questions that a worker process answers before or between jobs, and the shapes of its answers. */
import { z } from 'zod';
import { cardState } from './cards.ts';
import { addedRows, addRowsRequest } from './add-rows.ts';
import { corpusCheckRequest, corpusReport } from './corpus.ts';
import { measuredSpeed, memoryTerm, modelForecast, recipeForecast, taskSize } from './estimates.ts';
import { jobKind } from './jobs.ts';
import { localPath } from './local-path.ts';
import { told } from './messages/told-schema.ts';
import { quantisationSettings } from './quantisation.ts';
import { calibrateSettings, deciding, exportSettings, exportType, recipeSchema, taskSettings } from './recipe.ts';
import { readingFound } from './table-reading.ts';

export const presetName = z.enum(['quick', 'balanced', 'best', 'paper']);
export type PresetName = z.infer<typeof presetName>;
/** What the wizard and the command line start from. */
export const defaultPreset: PresetName = 'balanced';

/** Fields of a recipe that a person changed, by their path; null takes a field away, so that its default holds. */
export const recipeChanges = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type RecipeChanges = z.infer<typeof recipeChanges>;

/** What a preset needs to become a recipe; paths are absolute. */
export const presetInputs = z.object({
  preset: presetName,
  /** Default: the task's file name and the teacher's folder name. */
  name: z.string().optional(),
  teacher: localPath(),
  task: taskSettings.partial().extend({
    kind: taskSettings.shape.kind,
    train: localPath(),
    textColumns: taskSettings.shape.textColumns,
    labelColumn: taskSettings.shape.labelColumn,
    /** Default: 512, or what the teacher can read where that is less. */
    maxLength: taskSettings.shape.maxLength.unwrap().optional(),
    /** Default: a quarter of the longest row, at most 128. */
    maxNewTokens: taskSettings.shape.maxNewTokens.unwrap().optional(),
  }),
  /** How the student's first codes are chosen; absent: by the weights' size alone. */
  calibrate: calibrateSettings.shape.method.optional(),
  /** Reconstruct the layers before distilling; absent: as the preset does for a teacher of this size. */
  reconstruct: z.boolean().optional(),
  /** How the student is quantised; absent: as in BitNet b1.58. */
  quantisation: quantisationSettings.optional(),
  /** Keep the step that is best by this, on training rows that are set apart; absent: the last one. */
  keepBest: deciding.optional(),
  /** Rows without labels that the teacher answers; the student learns from them too. */
  moreRows: localPath().optional(),
  /** Rows that the teacher writes itself, and answers. */
  teacherWrites: z.int().min(1).max(200_000).optional(),
  /** Text for Stage 2; without it Stage 2 is skipped. */
  corpus: localPath().optional(),
  seed: z.int().min(0).optional(),
  /** A smaller model with the teacher's tokenizer that becomes the student. */
  studentBase: localPath().optional(),
  /** Layers that stay of the student's start, where it is cut. */
  keepLayers: z.int().min(1).optional(),
  exports: z.array(exportType).optional(),
  /** Laid over what the preset says, last of all. A path among them is judged where the recipe is used, as every path of a recipe. */
  changes: recipeChanges.optional(),
});
export type PresetInputs = z.infer<typeof presetInputs>;

/** What is known about a Hugging Face folder before anything is trained. Bytes are bytes, parameters are scalars. */
export const teacherCard = z.object({
  folder: z.string(),
  supported: z.boolean(),
  /** Why it is refused, when it is, and what would be accepted. */
  problem: told.optional(),
  /** It is ternary as it comes: with latent weights, which can be trained further, or codes alone. */
  ternary: z.enum(['latent', 'codes']).optional(),
  /** Set for a LoRA adapter, which has to be merged into its base first; `base`: how the adapter names that. */
  adapter: z.object({ base: z.string().nullable() }).optional(),
  architecture: z.string(),
  layers: z.number(),
  hiddenSize: z.number(),
  ffnSize: z.number(),
  heads: z.number(),
  kvHeads: z.number(),
  headDim: z.number(),
  vocabularySize: z.number(),
  contextLength: z.number(),
  tiedEmbedding: z.boolean(),
  /** Scalars that the model has; a tied head counts once. */
  parameters: z.number(),
  /** Scalars in the linear layers of the trunk, those that become ternary. */
  bodyParameters: z.number(),
  /** What each export type makes of a preset's student (or of the teacher): why it can't be written, or the bytes that zeros add to it (embedding F16). */
  exports: z
    .array(
      z.object({
        type: exportType,
        obstacle: told.nullable(),
        padding: z.object({ bodyBytes: z.number(), tableBytes: z.number() }).nullable(),
      }),
    )
    .default([]),
  /** Bytes of the safetensors files. */
  weightBytes: z.number(),
  weightTypes: z.array(z.string()),
  weightFiles: z.number(),
  tokenizer: z.object({ kind: z.string(), tokens: z.number() }).nullable(),
  licence: z.string().nullable(),
  /** What the student weighs: the packed linear layers, and the whole I2_S file with F16 embedding. */
  student: z.object({ bodyBytes: z.number(), fileBytes: z.number() }),
  warnings: z.array(told),
});
export type TeacherCard = z.infer<typeof teacherCard>;

/** A model that is not on this machine: its config.json (of a GGUF file what the Hub tells of it), and what is known of the rest. */
export const remoteModel = z.object({
  /** Where it would lie. */
  folder: z.string(),
  configuration: z.string(),
  /** Null for a model folder. Of a GGUF file there is no `configuration`: its shape is known once it is here. */
  gguf: z
    .object({
      architecture: z.string().nullable(),
      parameters: z.number().nullable(),
      contextLength: z.number().nullable(),
    })
    .nullable(),
  licence: z.string().nullable(),
  weightBytes: z.number(),
  weightFiles: z.number(),
  /** Bytes of the tokenizer's files; 0 without any. */
  tokenizerBytes: z.number(),
  /** Types of its tensors, as far as they are known. */
  weightTypes: z.array(z.string()),
  /** The model from which it was made (quantised, fine-tuned), where that is known. */
  original: z.string().nullable(),
});
export type RemoteModel = z.infer<typeof remoteModel>;

export const taskCheckRequest = z.object({
  /** The settings as far as the user gave them; what is missing is guessed from the file. */
  settings: taskSettings.partial().extend({ train: localPath() }),
  /** Folder whose tokenizer counts the tokens; without it lengths are in characters. */
  teacher: localPath().optional(),
  /** Seed of the recipe that draws the rows which are held out; default 1. */
  seed: z.int().min(0).optional(),
});
export type TaskCheckRequest = z.infer<typeof taskCheckRequest>;

const rowProblem = z.object({
  kind: z.enum([
    'empty-text',
    'empty-label',
    'missing-column',
    'unreadable',
    'too-long',
    'duplicate',
    'duplicate-conflict',
    'unknown-label',
    'shared-between-splits',
    'unlabelled',
    'near-duplicate',
    'near-shared',
    'chat-unreadable',
    'chat-tools',
    'chat-media',
    'chat-empty-turn',
    'chat-no-answer',
  ]),
  /** `dropped`: never trained on; `cut`: loses tokens in the middle; `kept`: only worth knowing. */
  effect: z.enum(['dropped', 'cut', 'kept']),
  rows: z.number(),
  /** The first few row numbers, from 1, the header not counted. */
  examples: z.array(z.number()),
  explanation: told,
});
export type RowProblem = z.infer<typeof rowProblem>;

const labelRows = z.object({ label: z.string(), rows: z.number() });

export const splitReport = z.object({
  path: z.string(),
  format: z.string(),
  /** How the file is read. */
  reading: readingFound,
  bytes: z.number(),
  rows: z.number(),
  usableRows: z.number(),
  /** Rows per label, most frequent first; at most 50 labels. */
  labels: z.array(labelRows),
  distinctLabels: z.number(),
  problems: z.array(rowProblem),
  /** Upper-bound histogram of the prompt lengths; `unit` says tokens or characters. */
  lengths: z.object({
    unit: z.enum(['tokens', 'characters']),
    median: z.number(),
    p95: z.number(),
    longest: z.number(),
    bins: z.array(z.object({ upTo: z.number(), rows: z.number() })),
  }),
});
export type SplitReport = z.infer<typeof splitReport>;

export const taskReport = z.object({
  columns: z.array(z.string()),
  mapping: z.object({
    kind: z.enum(['classification', 'generation']),
    textColumns: z.array(z.string()),
    labelColumn: z.string(),
    /** Which of them were guessed from the file. */
    guessed: z.array(z.enum(['kind', 'textColumns', 'labelColumn'])),
  }),
  /** Where the file holds conversations or instructions in a known format. */
  chats: z
    .object({
      format: z.enum(['messages', 'sharegpt', 'alpaca', 'preference', 'prompt-completion', 'question-answer']),
      promptColumn: z.string(),
      answerColumn: z.string(),
      /** Whether the two columns are made from others of the file. */
      derived: z.boolean(),
    })
    .nullable(),
  /** The prompt template that asks the teacher as its chat model is asked; null where it has no chat template, or no teacher is given. */
  chatTemplate: z.string().nullable(),
  train: splitReport,
  dev: splitReport.nullable(),
  /** Rows of dev whose text is also in train. */
  sharedRows: z.number(),
  unseenDevLabels: z.array(z.string()),
  /** Label values of the training rows that look like one class written in several ways, each with its rows; the most frequent first. */
  nearEqual: z.array(z.array(labelRows)),
  /** Label values that stand for no label. */
  leftOut: z.array(labelRows),
  trainable: z.boolean(),
  /** Why it can't be trained on, and what to do. */
  blockers: z.array(told),
  warnings: z.array(told),
});
export type TaskReport = z.infer<typeof taskReport>;

/** Whether a program runs a file, and why or why not. */
export const runVerdict = z.object({
  program: z.enum(['Tritsmith', 'bitnet.cpp', 'llama.cpp', 'transformers']),
  runs: z.boolean(),
  /** Its text, for programs that read it; surfaces render the id and its parameters (older files have none). */
  reason: z.string(),
  id: z.string().optional(),
  params: z.unknown().optional(),
});
export type RunVerdict = z.infer<typeof runVerdict>;

/** What is in a GGUF or safetensors file. Bytes are bytes. */
export const fileInspection = z.object({
  path: z.string(),
  format: z.enum(['gguf', 'safetensors']),
  fileBytes: z.number(),
  architecture: z.string().nullable(),
  name: z.string().nullable(),
  parameters: z.number(),
  /** Linear layers alone, as far as their names tell. */
  bodyBytes: z.number(),
  /** Share of zeros among all ternary weights; null without any. */
  zeroFraction: z.number().nullable(),
  types: z.array(z.object({ type: z.string(), tensors: z.number(), bytes: z.number() })),
  tensors: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      shape: z.array(z.number()),
      bytes: z.number().nullable(),
      zeroFraction: z.number().nullable(),
      /** What a +1 stands for; null where a matrix has several scales, and for what is not ternary. */
      scale: z.number().nullable(),
    }),
  ),
  /** Keys of a GGUF file or metadata of a safetensors file; long values are cut. */
  metadata: z.array(z.object({ key: z.string(), value: z.string() })),
  verdicts: z.array(runVerdict),
});
export type FileInspection = z.infer<typeof fileInspection>;

/** A job of an experiment and its cost relative to the other jobs. */
export const plannedJob = z.object({ kind: jobKind, weight: z.number().min(0) });
export type PlannedJob = z.infer<typeof plannedJob>;

/** An exported file of an experiment, and where a folder for those who use it is to be. */
export const deployRequest = z.object({
  /** GGUF file. */
  path: z.string(),
  /** It has a vocabulary and a tokenizer of its own. */
  pruned: z.boolean(),
  runsIn: z.array(runVerdict.shape.program),
  recipe: recipeSchema,
  /** Folder of the experiment. */
  experiment: z.string(),
  /** Of the model's scores; absent: 1. */
  temperature: z.number().positive().optional(),
  /** Model card in Markdown. */
  card: z.string(),
  /** Must not be there, or be empty. */
  into: z.string(),
});
export type DeployRequest = z.infer<typeof deployRequest>;

export const deployed = z.object({ folder: z.string(), files: z.array(z.string()), bytes: z.number() });
export type Deployed = z.infer<typeof deployed>;

/** A ternary model that is written as another file without being trained. */
export const convertRequest = z.object({ model: z.string(), output: z.string(), settings: exportSettings });
export type ConvertRequest = z.infer<typeof convertRequest>;

export const convertedModel = z.object({
  path: z.string(),
  architecture: z.string(),
  fileBytes: z.number(),
  bodyBytes: z.number(),
  checks: z.array(told),
  notes: z.array(told),
});
export type ConvertedModel = z.infer<typeof convertedModel>;

export const workerQuery = z.discriminatedUnion('type', [
  z.object({ type: z.literal('inspect-teacher'), folder: z.string() }),
  z.object({ type: z.literal('foresee-teacher'), model: remoteModel }),
  /** Writes the model of a LoRA adapter and its base to `target`, which must not be there. */
  z.object({ type: z.literal('merge-adapter'), adapter: z.string(), base: z.string(), target: z.string() }),
  z.object({ type: z.literal('check-task'), request: taskCheckRequest }),
  z.object({ type: z.literal('check-corpus'), request: corpusCheckRequest }),
  z.object({ type: z.literal('make-recipe'), inputs: presetInputs }),
  /** Fails where an export that the recipe asks for can't hold the model. */
  z.object({ type: z.literal('check-exports'), recipe: recipeSchema }),
  /** `size` of the task, where it has been read. */
  z.object({ type: z.literal('plan-jobs'), recipe: recipeSchema, size: taskSize.nullable() }),
  /** Reads all rows of the task where its size is not known; `measured`: by a rehearsal on this machine. */
  z.object({
    type: z.literal('forecast-recipe'),
    recipe: recipeSchema,
    size: taskSize.nullable(),
    measured: measuredSpeed.nullable(),
  }),
  z.object({ type: z.literal('forecast-published') }),
  z.object({ type: z.literal('inspect-file'), path: z.string() }),
  z.object({ type: z.literal('convert-model'), request: convertRequest }),
  z.object({ type: z.literal('deploy'), request: deployRequest }),
  z.object({ type: z.literal('add-rows'), request: addRowsRequest }),
  z.object({ type: z.literal('probe-runtime') }),
]);
export type WorkerQuery = z.infer<typeof workerQuery>;
export type QueryType = WorkerQuery['type'];

/** What the engine finds in the process that would train. */
export const runtimeProbe = z.object({
  onnxruntime: z.string(),
  executionProviders: z.array(z.object({ name: z.string(), bundled: z.boolean() })),
  /** Of the native runtime, those that this processor runs. */
  kernels: z.array(z.string()),
  card: cardState,
});
export type RuntimeProbe = z.infer<typeof runtimeProbe>;

/** The answer's schema by the question's type; both ends check against it. */
export const queryAnswer = {
  'inspect-teacher': teacherCard,
  /** With the memory that a training with the default settings takes; null for a model that is refused. */
  'foresee-teacher': z.object({ card: teacherCard, memory: z.array(memoryTerm).nullable() }),
  'merge-adapter': teacherCard,
  'check-task': taskReport,
  'check-corpus': corpusReport,
  'make-recipe': recipeSchema,
  'check-exports': z.null(),
  'plan-jobs': z.array(plannedJob),
  'forecast-recipe': recipeForecast,
  'forecast-published': z.array(modelForecast),
  'inspect-file': fileInspection,
  'convert-model': convertedModel,
  deploy: deployed,
  'add-rows': addedRows,
  'probe-runtime': runtimeProbe,
} as const;
export type QueryAnswer<T extends QueryType> = z.infer<(typeof queryAnswer)[T]>;
