/** What a wizard holds, and what of it the maker of recipes is told. */
import { z } from 'zod';
import { defaultPreset, type PresetInputs, presetName, recipeChanges } from '../../main/contract/queries.ts';
import { calibrateSettings, deciding, newestRules } from '../../main/contract/recipe.ts';
import { readingOptions } from '../../main/contract/table-reading.ts';

export const steps = ['teacher', 'data', 'recipe', 'machine', 'review'] as const;
export type Step = (typeof steps)[number];

/** Where the student's size comes from: the teacher, fewer of its layers, or a model of its own. */
export const studentSizes = ['same', 'cut', 'base'] as const;

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
  /** Near-equal labels are one class. */
  mergeLabels: z.boolean().catch(false),
  /** Label values that stand for no label; null: they are recognised. */
  unlabelled: z.array(z.string()).nullable().catch(null),
  /** By what rows are held out where there is no evaluation file; empty: each class in proportion. */
  groupColumn: z.string().catch(''),
  timeColumn: z.string().catch(''),
  /** How the files are read, where it was changed by hand. */
  reading: readingOptions.catch({}),
  corpus: z.string().catch(''),
  /** Rows without labels. */
  moreRows: z.string().catch(''),
  /** Rows that the teacher writes itself; null: none. */
  teacherWrites: z.number().int().min(1).max(200_000).nullable().catch(null),
  /** Reconstruct the layers before distilling; null: as the preset does. */
  reconstruct: z.boolean().nullable().catch(null),
  /** How the student's first codes are chosen; empty: by the weights' size alone. */
  calibrate: z.union([calibrateSettings.shape.method, z.literal('')]).catch(''),
  /** By what the best step is chosen; empty: the last one is kept. */
  keepBest: z.union([deciding, z.literal('')]).catch(''),
  /** False while the model in the folder cannot be a teacher. */
  teachable: z.boolean().catch(true),
  /** False while the data file has something that stops a training. */
  trainable: z.boolean().catch(true),
  /** Whether memory and disk of this machine suffice; null: not known. */
  fits: z.boolean().nullable().catch(null),
  size: z.enum(studentSizes).catch('same'),
  /** Layers that a cut leaves; null: not chosen yet. */
  keepLayers: z.number().int().min(1).max(1000).nullable().catch(null),
  studentBase: z.string().catch(''),
  preset: presetName.catch(defaultPreset),
  /** Expert settings that were changed, by their path in the recipe. */
  changes: recipeChanges.catch({}),
});
export type DraftContent = z.infer<typeof draftContent>;

/** What trains: the processor or the graphics card. */
export type Engine = 'cpu' | 'gpu';

export function engineOf({ changes }: Pick<DraftContent, 'changes'>): Engine {
  return changes['engine'] === 'gpu' ? 'gpu' : 'cpu';
}

const momentSettings = ['finetune', 'reconstruct', 'pretrain', 'distil'].map((stage) => `${stage}.optimiser.moments`);

export function hasByteMoments({ changes }: Pick<DraftContent, 'changes'>): boolean {
  return momentSettings.every((path) => changes[path] === '8-bit');
}

/** With the optimiser's moments in bytes, in every stage that there is. */
export function withByteMoments(draft: DraftContent): DraftContent {
  return {
    ...draft,
    changes: { ...draft.changes, ...Object.fromEntries(momentSettings.map((path) => [path, '8-bit'])) },
  };
}

export function withEngine(draft: DraftContent, engine: Engine): DraftContent {
  const others = Object.fromEntries(Object.entries(draft.changes).filter(([path]) => path !== 'engine'));
  return { ...draft, changes: engine === 'cpu' ? others : { ...others, engine } };
}

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
    ...(Object.keys(draft.reading).length === 0 ? {} : { reading: draft.reading }),
    ...(draft.maxNewTokens === null ? {} : { maxNewTokens: draft.maxNewTokens }),
    devFraction: draft.devFraction,
    rules: newestRules,
    ...(draft.mergeLabels ? { mergeLabels: true } : {}),
    ...(draft.unlabelled === null ? {} : { unlabelled: draft.unlabelled }),
    ...(draft.groupColumn === '' || draft.dev !== '' ? {} : { groupColumn: draft.groupColumn }),
    ...(draft.timeColumn === '' || draft.dev !== '' ? {} : { timeColumn: draft.timeColumn }),
  } as const;
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

/** All that the wizard knows, for the maker of recipes. */
export function inputsOf(draft: DraftContent, preset = draft.preset): PresetInputs {
  return {
    preset,
    teacher: draft.teacher,
    task: {
      ...taskOf(draft),
      kind: draft.kind ?? 'classification',
      textColumns: draft.textColumns,
      labelColumn: draft.labelColumn,
    },
    ...(draft.name.trim() === '' ? {} : { name: draft.name.trim() }),
    ...(draft.keepBest === '' ? {} : { keepBest: draft.keepBest }),
    ...(draft.calibrate === '' ? {} : { calibrate: draft.calibrate }),
    ...(draft.reconstruct === null ? {} : { reconstruct: draft.reconstruct }),
    ...(draft.moreRows === '' ? {} : { moreRows: draft.moreRows }),
    ...(draft.teacherWrites === null ? {} : { teacherWrites: draft.teacherWrites }),
    ...(draft.corpus === '' ? {} : { corpus: draft.corpus }),
    ...(draft.size === 'cut' && draft.keepLayers !== null ? { keepLayers: draft.keepLayers } : {}),
    ...(draft.size === 'base' && draft.studentBase !== '' ? { studentBase: draft.studentBase } : {}),
    changes: draft.changes,
  };
}
