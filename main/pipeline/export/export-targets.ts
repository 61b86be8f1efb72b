/** What an export job writes: what the recipe asks for, and what the models are measured with. */
import { type ExportSettings, type Recipe, runsInRuntime } from '../../contract/recipe.ts';
import type { ExportedFile } from '../../contract/results.ts';
import { baselineModel, teacherModel } from '../../contract/model-names.ts';
import { trainedModelFolders } from '../../experiment/folder.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { studentConfiguration } from '../models-of-recipe.ts';
import {
  assertHolds,
  defaultExportType,
  encodingOf,
  exportObstacle,
  isGgufType,
  isTeacherType,
} from './capabilities.ts';
import type { GgufEncoding } from './gguf-encoding.ts';

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
  /** Nobody asked for it: it is written to be measured. `settle` gives it its type. */
  readonly forMeasuring: boolean;
  /** It is a file for our runtime alone, which holds every model (docs/formats.md, 3.4). */
  readonly own: boolean;
}

/**
 * The files to write: those that the recipe asks for, the student's first. A model of which none of them runs in our runtime also gets a file that it is
 * measured with: F16 for the teacher, else what the student is exported as, so that they compare.
 */
export function exportTargets(folder: string, recipe: Recipe): Target[] {
  const embedding = recipe.exports[0]?.embedding ?? 'f16';
  const ofStudent = recipe.exports.find((settings) => runsInRuntime(settings) && !isTeacherType(settings.type));
  return trainedModelFolders(folder, recipe)
    .reverse()
    .flatMap(({ name, path }): Target[] => {
      const ofTeacher = name === teacherModel;
      const wanted =
        name === baselineModel ? [] : recipe.exports.filter(({ type }) => isTeacherType(type) === ofTeacher);
      const measured: ExportSettings =
        ofTeacher && !recipe.continueTernary
          ? { type: 'f16', embedding: 'f16' }
          : { type: ofStudent?.type ?? 'i2_s', embedding: ofStudent?.embedding ?? embedding };
      const target = (settings: ExportSettings, forMeasuring: boolean): Target => ({
        model: name,
        folder: path,
        experiment: folder,
        settings,
        forMeasuring,
        own: false,
      });
      return [
        ...(wanted.some(runsInRuntime) ? [] : [target(measured, true)]),
        ...wanted.map((settings) => target(settings, false)),
      ];
    });
}

/** The file of our own that any model can be measured with. */
export function ownTarget(target: Target): Target {
  const { type } = target.settings;
  const settings: ExportSettings = { type: isTeacherType(type) ? 'f16' : 'i2_s', embedding: 'f16' };
  return { ...target, settings, forMeasuring: true, own: true };
}

/** A target of a model whose shape is known: what nobody asked for becomes a file of our own where the type does not hold the model. */
export function settle(target: Target, configuration: ModelConfiguration): Target {
  if (!target.forMeasuring || exportObstacle(target.settings, configuration) === null) return target;
  return ownTarget(target);
}

/** The types of a GGUF target's tensors; null for what is no GGUF file. */
export function encodingOfTarget({ settings, own }: Target): GgufEncoding | null {
  const { type } = settings;
  if (!isGgufType(type)) return null;
  return { ...encodingOf(type, settings), ...(own ? { own } : {}) };
}

/** The export that a recipe gets where nobody asked for one. */
export async function defaultExports(recipe: Recipe): Promise<ExportSettings[]> {
  return [{ type: defaultExportType(await studentConfiguration(recipe)), embedding: 'f16' }];
}

/**
 * Looks before the training whether the files that the recipe asks for can hold the models that it makes.
 * @throws TritsmithError `unsupported`, with the way out
 */
export async function assertExportable(recipe: Recipe): Promise<void> {
  const student = await studentConfiguration(recipe);
  const teacher = await modelConfiguration(recipe.teacher);
  for (const { type, embedding } of recipe.exports)
    assertHolds({ type, embedding: storedEmbedding({ type, embedding }) }, isTeacherType(type) ? teacher : student);
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
export function baseName({ model, own, settings: { type, embedding, pruneVocabulary } }: Target): string {
  if (own) return `${model}-measured`;
  return [
    model,
    type,
    ...(embedding === 'f16' ? [] : [embedding]),
    ...(pruneVocabulary === true ? ['pruned'] : []),
  ].join('-');
}
