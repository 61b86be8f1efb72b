/** What an experiment found out, as it lies in its folder: one place that writes and reads it. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { type ComparedModel, comparedModels } from '../contract/model-names.ts';
import {
  type ExportedFile,
  exportedFile,
  type FailedExport,
  failedExport,
  type Measurement,
  measurement,
  type ModelEvaluation,
  modelEvaluation,
  type StoredComparison,
  storedComparison,
} from '../contract/results.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { readJson } from '../basics/json-file.ts';
import { comparisonPath, evaluationPath, exportListPath, failedExportsPath, measurementPath } from './folder.ts';

const damaged = 'results.damaged';

/**
 * Earlier versions kept the paired differences among the scores, as `differenceFrom.<model>`, `.low`, `.high` and `mcnemarP.<model>`.
 * Returns the evaluation as it is written today.
 */
function withDifferences(content: unknown): unknown {
  const old = z.looseObject({ scores: z.record(z.string(), z.unknown()) }).safeParse(content);
  if (!old.success || old.data['differences'] !== undefined) return content;
  const { scores } = old.data;
  const differences = comparedModels
    .filter((from) => `differenceFrom.${from}` in scores)
    .map((from) => ({
      from,
      value: scores[`differenceFrom.${from}`],
      low: scores[`differenceFrom.${from}.low`],
      high: scores[`differenceFrom.${from}.high`],
      mcnemarP: scores[`mcnemarP.${from}`] ?? null,
    }));
  const own = Object.entries(scores).filter(([name]) => !/^(differenceFrom|mcnemarP)\./.test(name));
  return { ...old.data, scores: Object.fromEntries(own), differences };
}

const evaluationFile = z.preprocess(withDifferences, modelEvaluation);

/** Null before the model was evaluated. @throws TritsmithError `damaged` */
export function readEvaluation(experiment: string, model: ComparedModel): ModelEvaluation | null {
  return readJson(evaluationPath(experiment, model), evaluationFile, damaged);
}

/** What the scores of a model's labels are divided by, where its evaluation found it. @throws TritsmithError `damaged` */
export function scoreTemperature(experiment: string, model: ComparedModel): { temperature?: number } {
  const temperature = readEvaluation(experiment, model)?.calibration?.temperature;
  return temperature === undefined ? {} : { temperature };
}

export async function writeEvaluation(experiment: string, evaluation: ModelEvaluation): Promise<void> {
  await write(evaluationPath(experiment, evaluation.model), `${JSON.stringify(evaluation)}\n`);
}

/** Null before the model was measured. @throws TritsmithError `damaged` */
export function readMeasurement(experiment: string, model: ComparedModel): Measurement | null {
  return readJson(measurementPath(experiment, model), measurement, damaged);
}

export async function writeMeasurement(experiment: string, model: ComparedModel, found: Measurement): Promise<void> {
  await write(measurementPath(experiment, model), `${JSON.stringify(found)}\n`);
}

/** Null before anything was compared. Paths in it are relative to the folder. @throws TritsmithError `damaged` */
export function readStoredComparison(experiment: string): StoredComparison | null {
  return readJson(comparisonPath(experiment), storedComparison, damaged);
}

export async function writeStoredComparison(experiment: string, comparison: StoredComparison): Promise<void> {
  await write(comparisonPath(experiment), `${JSON.stringify(comparison, null, 2)}\n`);
}

/** Null before anything was exported. Paths in it are relative to the folder. @throws TritsmithError `damaged` */
export function readExportList(experiment: string): ExportedFile[] | null {
  return readJson(exportListPath(experiment), z.array(exportedFile), damaged);
}

export async function writeExportList(experiment: string, files: readonly ExportedFile[]): Promise<void> {
  await write(exportListPath(experiment), `${JSON.stringify(files, null, 2)}\n`);
}

/** What could not be exported when the recipe's exports were last written. @throws TritsmithError `damaged` */
export function readFailedExports(experiment: string): FailedExport[] {
  return readJson(failedExportsPath(experiment), z.array(failedExport), damaged) ?? [];
}

export async function writeFailedExports(experiment: string, failed: readonly FailedExport[]): Promise<void> {
  const path = failedExportsPath(experiment);
  if (failed.length === 0) await rm(path, { force: true });
  else await write(path, `${JSON.stringify(failed, null, 2)}\n`);
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomically(path, text);
}
