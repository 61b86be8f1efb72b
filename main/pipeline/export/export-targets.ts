/** What an export job writes: what the recipe asks for, and what the models are measured with. */
import { type ExportSettings, type ExportType, type Recipe, runsInRuntime } from '../../contract/recipe.ts';
import type { ExportedFile } from '../../contract/results.ts';
import { baselineModel, teacherModel } from '../../contract/model-names.ts';
import { trainedModelFolders } from '../../experiment/folder.ts';
import { studentConfiguration } from '../models-of-recipe.ts';
import type { GgufEncoding } from './gguf-encoding.ts';
import { planGguf } from './gguf-layout.ts';

export type GgufType = Exclude<ExportType, 'hf' | 'onnx'>;

const linearTypes: Record<GgufType, GgufEncoding['linear']> = {
  i2_s: 'I2_S',
  tq2_0: 'TQ2_0',
  tq1_0: 'TQ1_0',
  f16: 'F16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
};

export function encodingOf(type: GgufType, { embedding }: ExportSettings): GgufEncoding {
  return { linear: linearTypes[type], embedding: embedding.toUpperCase() as GgufEncoding['embedding'] };
}

/** The embedding as it is stored: quantised ones are a matter of GGUF, the other formats keep F16 then. */
export function storedEmbedding({ type, embedding }: ExportSettings): ExportSettings['embedding'] {
  return (type === 'hf' || type === 'onnx') && embedding !== 'f32' ? 'f16' : embedding;
}

export interface Target {
  readonly model: ExportedFile['model'];
  /** Folder of the model. */
  readonly folder: string;
  /** Folder of the experiment. */
  readonly experiment: string;
  readonly settings: ExportSettings;
  /** Nobody asked for it: it is written to be measured, and left out where no GGUF file can hold the model. */
  readonly forMeasuring: boolean;
}

const teacherTypes: readonly ExportType[] = ['f16', 'q8_0', 'q4_0'];

/**
 * The files to write: those that the recipe asks for, the student's first. A model of which none of them runs in our runtime also gets the
 * file that it is measured with (I2_S, or F16 for the teacher).
 */
export function exportTargets(folder: string, recipe: Recipe): Target[] {
  const embedding = recipe.exports[0]?.embedding ?? 'f16';
  return trainedModelFolders(folder, recipe)
    .reverse()
    .flatMap(({ name, path }): Target[] => {
      const ofTeacher = name === teacherModel;
      const wanted =
        name === baselineModel ? [] : recipe.exports.filter(({ type }) => teacherTypes.includes(type) === ofTeacher);
      const own: ExportSettings = ofTeacher ? { type: 'f16', embedding: 'f16' } : { type: 'i2_s', embedding };
      const target = (settings: ExportSettings, forMeasuring: boolean): Target => ({
        model: name,
        folder: path,
        experiment: folder,
        settings,
        forMeasuring,
      });
      return [
        ...(wanted.some(runsInRuntime) ? [] : [target(own, true)]),
        ...wanted.map((settings) => target(settings, false)),
      ];
    });
}

/**
 * Looks before the training whether what the recipe asks for can hold the student that it makes.
 * @throws TritsmithError `unsupported`, with the way out
 */
export async function assertExportable(recipe: Recipe): Promise<void> {
  const asksForStudentGguf = recipe.exports.some(
    ({ type }) => type !== 'hf' && type !== 'onnx' && !teacherTypes.includes(type),
  );
  if (asksForStudentGguf) planGguf(await studentConfiguration(recipe));
}

/** The targets of trained models that `settings` names; the teacher's types are the teacher's, the others the student's. */
export function targetsFor(
  folder: string,
  recipe: Recipe,
  { type, embedding, pruneVocabulary = false }: ExportSettings,
): Target[] {
  return exportTargets(folder, recipe).filter(
    ({ model, settings }) =>
      model !== baselineModel &&
      settings.type === type &&
      settings.embedding === embedding &&
      (settings.pruneVocabulary ?? false) === pruneVocabulary,
  );
}

/** Name of an export without its ending, such as `bitdistill-tq2_0-q6_k-pruned`. */
export function baseName({ model, settings: { type, embedding, pruneVocabulary } }: Target): string {
  return [
    model,
    type,
    ...(embedding === 'f16' ? [] : [embedding]),
    ...(pruneVocabulary === true ? ['pruned'] : []),
  ].join('-');
}
