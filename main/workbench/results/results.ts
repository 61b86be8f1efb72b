/** What an experiment found out, read from its folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { runsInRuntime } from '../../contract/recipe.ts';
import { comparedModel, modelEvaluation } from '../../contract/results.ts';
import type { TrainedModel } from '../../contract/model-names.ts';
import { type ExperimentResults, exportedModel, type ExportedModel } from '../../contract/views.ts';
import { readComparison } from './comparison.ts';
import type { Workspace } from '../workspace/workspace.ts';

const exportsFile = z.array(exportedModel.omit({ sha256: true, preferred: true }));

export function readResults(workspace: Workspace, record: ExperimentRecord): Omit<ExperimentResults, 'job'> {
  const folder = workspace.experimentFolder(record.id);
  const evaluations = comparedModel.options.flatMap((model) => {
    const found = readJson(modelEvaluation, join(folder, 'evaluations', `${model}.json`));
    if (found === null) return [];
    return [modelEvaluation.omit({ predictions: true, answers: true }).parse(found)];
  });
  return { comparison: readComparison(workspace, record), evaluations, exports: readExports(workspace, record) };
}

/** The GGUF files of an experiment, with absolute paths. */
export function readExports(workspace: Workspace, record: ExperimentRecord): ExportedModel[] {
  const folder = workspace.experimentFolder(record.id);
  const files = readJson(exportsFile, join(folder, 'exports', 'exports.json')) ?? [];
  return files.map((file) => ({
    ...file,
    path: resolve(folder, file.path),
    preferred: file === files.find((each) => each.model === file.model && answers(each)),
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
  throw new TritsmithError('not-found', `There is no exported file of this model in ${record.name}.`, {
    remedy: 'Let the experiment run to its end, or run its export again as I2_S with the whole vocabulary.',
  });
}

function readJson<T>(schema: z.ZodType<T>, path: string): T | null {
  if (!existsSync(path)) return null;
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (thrown) {
    throw new TritsmithError('damaged', `${path} cannot be read.`, {
      reason: TritsmithError.from(thrown).message.slice(0, 300),
      remedy: 'Run the evaluation and the export again.',
    });
  }
}
