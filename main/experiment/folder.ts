/** Where everything of an experiment lies in its folder. Only this room spells these names; `experiment` is the folder's path. */
import { join } from 'node:path';
import type { JobKind } from '../contract/jobs.ts';
import {
  baselineModel,
  type ComparedModel,
  studentModel,
  teacherModel,
  type TrainedModel,
} from '../contract/model-names.ts';
import type { Recipe } from '../contract/recipe.ts';

/** Folders of models, by the stage that leaves them. */
export type ModelFolder =
  'teacher' | 'cut' | 'refined' | 'calibrated' | 'reconstructed' | 'pretrained' | 'student' | 'baseline';

export function modelFolder(experiment: string, name: ModelFolder): string {
  return join(experiment, name);
}

/** The fine-tuned teacher: this experiment's own, or the folder itself when the recipe skips fine-tuning. */
export function teacherFolder(experiment: string, recipe: Recipe): string {
  return recipe.finetune ? modelFolder(experiment, 'teacher') : recipe.teacher;
}

/** The models that an experiment trains with their folders, in the order of the table. */
export function trainedModelFolders(experiment: string, recipe: Recipe): { name: TrainedModel; path: string }[] {
  return [
    { name: teacherModel, path: teacherFolder(experiment, recipe) },
    ...(recipe.baseline ? [{ name: baselineModel, path: modelFolder(experiment, 'baseline') }] : []),
    { name: studentModel, path: modelFolder(experiment, 'student') },
  ];
}

/** Of all jobs. */
export function checkpointsFolder(experiment: string): string {
  return join(experiment, 'checkpoints');
}

export function checkpointFolder(experiment: string, job: JobKind): string {
  return join(checkpointsFolder(experiment), job);
}

/** What can be made again: tokens of data files, models that are written to be tried. */
export function cacheFolder(experiment: string): string {
  return join(experiment, 'cache');
}

/**
 * Tokens of the task's training rows, of its evaluation rows, of the corpus of Stage 2, of the texts of the reconstruction, and of parts of the rows that the
 * teacher answered.
 */
export function cachedTokens(
  experiment: string,
  of: 'task' | 'evaluation' | 'corpus' | 'texts' | `answered-${number}`,
): string {
  return join(cacheFolder(experiment), `${of}.tokens`);
}

/** Rows that the teacher wrote, as lines of JSON with the task's text columns. */
export function writtenRowsPath(experiment: string): string {
  return join(experiment, 'written-rows.jsonl');
}

/** How far that file has come, and of what it is. */
export function writtenRowsNotePath(experiment: string): string {
  return join(cacheFolder(experiment), 'written-rows.json');
}

/** Hidden states between the layers while windows are reconstructed; removed at the end. */
export function hiddenStatesFolder(experiment: string): string {
  return join(cacheFolder(experiment), 'hidden');
}

/** What the teacher gave of each row of Stage 3, where it is asked once; removed at the end of the stage. */
export function taughtFolder(experiment: string): string {
  return join(cacheFolder(experiment), 'taught');
}

/** Layers that are calibrated already; removed at the end. */
export function calibratedLayersFolder(experiment: string): string {
  return join(cacheFolder(experiment), 'calibrated');
}

/** What has to be known of the task's training file before any of its rows is tokenised. */
export function surveyPath(experiment: string): string {
  return join(cacheFolder(experiment), 'survey.json');
}

/** The experiment itself: recipe, states of its stages, artifacts. */
export function recordPath(experiment: string): string {
  return join(experiment, 'experiment.json');
}

/** Curves and log once more. */
export function eventsPath(experiment: string): string {
  return join(experiment, 'events.jsonl');
}

/** Tags, notes, the mark of a removed experiment. */
export function annotationsPath(experiment: string): string {
  return join(experiment, 'annotations.json');
}

/** Which process works in the folder. */
export function workerNotePath(experiment: string): string {
  return join(experiment, 'worker.json');
}

/** How ranks share the stages. */
export function ranksPath(experiment: string): string {
  return join(experiment, 'ranks.json');
}

export function evaluationPath(experiment: string, model: ComparedModel): string {
  return join(experiment, 'evaluations', `${model}.json`);
}

export function measurementPath(experiment: string, model: ComparedModel): string {
  return join(experiment, 'measurements', `${model}.json`);
}

export function comparisonPath(experiment: string): string {
  return join(experiment, 'comparison.json');
}

export function exportsFolder(experiment: string): string {
  return join(experiment, 'exports');
}

/** Of an exported file or folder, as lists and artifacts name it: relative to the experiment's folder. */
export function exportedPath(fileName: string): string {
  return join('exports', fileName);
}

/** What the recipe asked for and could not be exported; absent where nothing failed. */
export function failedExportsPath(experiment: string): string {
  return join(exportsFolder(experiment), 'failed.json');
}

/** The list of what was exported. */
export function exportListPath(experiment: string): string {
  return join(exportsFolder(experiment), 'exports.json');
}
