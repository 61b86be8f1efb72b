/** What an experiment found out, read from its folder. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { runsInRuntime } from '../../contract/recipe.ts';
import { comparedModels, type TrainedModel } from '../../contract/model-names.ts';
import { modelEvaluation } from '../../contract/results.ts';
import { type ExperimentResults, exportedModel, type ExportedModel } from '../../contract/views.ts';
import { readEvaluation, readExportList } from '../../experiment/results.ts';
import { readComparison } from './comparison.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** An evaluation without what it keeps of each row, and an export without what only exporting needs. */
const figures = modelEvaluation.omit({ predictions: true, answers: true });
const listed = exportedModel.omit({ sha256: true, preferred: true });

export function readResults(workspace: Workspace, record: ExperimentRecord): Omit<ExperimentResults, 'job'> {
  const folder = workspace.experimentFolder(record.id);
  const evaluations = comparedModels.flatMap((model) => {
    const found = readEvaluation(folder, model);
    if (found === null) return [];
    return [figures.parse(found)];
  });
  return { comparison: readComparison(workspace, record), evaluations, exports: readExports(workspace, record) };
}

/** The GGUF files of an experiment, with absolute paths. */
export function readExports(workspace: Workspace, record: ExperimentRecord): ExportedModel[] {
  const folder = workspace.experimentFolder(record.id);
  const files = readExportList(folder) ?? [];
  return files.map((file) => ({
    ...listed.parse(file),
    path: resolve(folder, file.path),
    preferred: file.path === files.find((each) => each.model === file.model && answers(each))?.path,
    sha256:
      record.artifacts.find(({ path }) => path === file.path || path === `${file.path}/model.safetensors`)?.sha256 ??
      null,
  }));
}

/** The native runtime executes it with the recipe's own tokenizer (a pruned file has its own). */
function answers(file: Pick<ExportedModel, 'type' | 'pruning'>): boolean {
  return runsInRuntime(file) && file.pruning == null;
}

/** The file of `model` that answers: the newest one that can. Throws `not-found` while there is none. */
export function exportOf(workspace: Workspace, record: ExperimentRecord, model: TrainedModel): ExportedModel {
  const file = readExports(workspace, record).find((each) => each.model === model && each.preferred);
  if (file !== undefined && existsSync(file.path)) return file;
  throw new TritsmithError('not-found', 'export.none-that-answers', { experiment: record.name });
}
