/** Puts what the jobs found out side by side: one row per model, figures that nobody measured stay null. */
import {
  baselineModel,
  type ComparedModel,
  comparedModels,
  fourBitModel,
  studentModel,
  teacherModel,
} from '../../contract/model-names.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ComparisonRow, ExportedFile, TypicalRequest } from '../../contract/results.ts';
import {
  readEvaluation,
  readExportList,
  readFailedExports,
  readMeasurement,
  writeStoredComparison,
} from '../../experiment/results.ts';

/**
 * The file whose size and speed stand for a model: of the teacher F16, of the 4-bit teacher Q4_0, of the others the newest that our
 * runtime executes with the whole vocabulary.
 */
export function measuredFile(files: readonly ExportedFile[], name: ComparedModel): ExportedFile | undefined {
  if (name === fourBitModel) return files.find(({ model, type }) => model === teacherModel && type === 'q4_0');
  const own = files.filter(({ model, type }) => model === name && type !== 'q4_0');
  return own.find(({ type, pruning }) => (name === teacherModel ? type === 'f16' : pruning == null)) ?? own[0];
}

/** Compares what is there so far, and keeps it; a model without an evaluation has no row. */
export async function compareModels(folder: string, recipe: Recipe): Promise<void> {
  const files = readExportList(folder) ?? [];
  const rows: ComparisonRow[] = [];
  let request: TypicalRequest | null = null;
  for (const name of comparedModels) {
    if (name === baselineModel && !recipe.baseline) continue;
    const evaluation = readEvaluation(folder, name);
    if (!evaluation) continue;
    request = evaluation.request ?? request;
    const file = measuredFile(files, name);
    const measured = readMeasurement(folder, name);
    rows.push({
      name,
      accuracy: evaluation.value,
      ci95: evaluation.ci95,
      bodyBytes: file?.bodyBytes ?? 0,
      fileBytes: file?.fileBytes ?? 0,
      rssBytes: measured?.rssBytes ?? null,
      prefillTokensPerSecond: measured?.prefillTokensPerSecond ?? null,
      decodeTokensPerSecond: measured?.decodeTokensPerSecond ?? null,
      requestSeconds: measured?.requestSeconds ?? null,
    });
  }
  const asked = recipe.exports[0]?.type;
  const student = files.find(({ model, type, own }) => model === studentModel && type === asked && own !== true);
  const failedExports = readFailedExports(folder);
  await writeStoredComparison(folder, {
    rows,
    request,
    export: student ? { path: student.path, type: student.type, verified: student.verified } : null,
    exports: files,
    ...(failedExports.length > 0 ? { failedExports } : {}),
  });
}
