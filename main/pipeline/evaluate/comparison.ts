/** Puts what the jobs found out into `comparison.json`: one row per model, figures that nobody measured stay null. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Recipe } from '../../contract/recipe.ts';
import {
  comparedModel,
  type Comparison,
  type ComparisonRow,
  type ExportedFile,
  exportedFile,
  modelEvaluation,
  type TypicalRequest,
} from '../../contract/results.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';

/** What a measuring job found; kept in `measurements/<model>.json`. */
export const measurement = z.object({
  rssBytes: z.number(),
  prefillTokensPerSecond: z.number(),
  decodeTokensPerSecond: z.number(),
  requestSeconds: z.number().nullable().default(null),
  threads: z.number(),
});
export type Measurement = z.infer<typeof measurement>;

async function readJson<T>(schema: z.ZodType<T>, path: string): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export function readExports(folder: string): Promise<ExportedFile[] | null> {
  return readJson(z.array(exportedFile), join(folder, 'exports', 'exports.json'));
}

/**
 * The file whose size and speed stand for a model: of the teacher F16, of the 4-bit teacher Q4_0, of the others the newest that our
 * runtime executes with the whole vocabulary.
 */
export function measuredFile(files: readonly ExportedFile[], name: ComparisonRow['name']): ExportedFile | undefined {
  if (name === 'teacher-q4_0') return files.find(({ model, type }) => model === 'teacher' && type === 'q4_0');
  const own = files.filter(({ model, type }) => model === name && type !== 'q4_0');
  return own.find(({ type, pruning }) => (name === 'teacher' ? type === 'f16' : pruning == null)) ?? own[0];
}

export function measurementPath(folder: string, model: ComparisonRow['name']): string {
  return join(folder, 'measurements', `${model}.json`);
}

/** Writes `comparison.json` from what is there so far; a model without an evaluation has no row. */
export async function writeComparison(folder: string, recipe: Recipe): Promise<Comparison> {
  const files = (await readExports(folder)) ?? [];
  const rows: ComparisonRow[] = [];
  let request: TypicalRequest | null = null;
  for (const name of comparedModel.options) {
    if (name === 'bitnet-sft' && !recipe.baseline) continue;
    const evaluation = await readJson(modelEvaluation, join(folder, 'evaluations', `${name}.json`));
    if (!evaluation) continue;
    request = evaluation.request ?? request;
    const file = measuredFile(files, name);
    const measured = await readJson(measurement, measurementPath(folder, name));
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
  const student = files.find(({ model, type }) => model === 'bitdistill' && type === recipe.exports[0]?.type);
  const result: Comparison = {
    rows,
    request,
    export: student ? { path: student.path, type: student.type, verified: student.verified } : null,
    exports: files,
    seconds: 0,
  };
  await writeFileAtomically(join(folder, 'comparison.json'), `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
