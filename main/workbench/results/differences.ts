/** Where two models of an experiment answer differently, asked of a process of its own, for reports and the command line. */
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { DifferencesAnswer, DifferencesRequest } from '../../contract/result-queries.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import { studentModel, teacherModel } from '../../contract/model-names.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { ask } from '../interface/helper-host.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** What a report says of the rows: the answer, or why there is none (the data file is gone or has changed). */
export type ReportedDifferences = DifferencesAnswer | { readonly missing: string };

/** Throws `not-found` before both models were evaluated, `damaged` when the rows have changed since. */
export async function readDifferences(
  runtime: SpawnPort,
  workspace: Workspace,
  id: string,
  request: Omit<DifferencesRequest, 'folder'>,
): Promise<DifferencesAnswer> {
  const folder = workspace.experimentFolder(id);
  return (await ask(runtime, { type: 'differences', request: { ...request, folder } }, 'compared')).answer;
}

/** Teacher and student on `rows` rows at most; null where one of them has not been evaluated, or no rows are wanted. */
export async function reportedDifferences(
  runtime: SpawnPort,
  workspace: Workspace,
  record: ExperimentRecord,
  evaluations: readonly Pick<ModelEvaluation, 'model'>[],
  rows: number,
): Promise<ReportedDifferences | null> {
  const evaluated = new Set(evaluations.map(({ model }) => model));
  if (rows === 0 || !evaluated.has(teacherModel) || !evaluated.has(studentModel)) return null;
  try {
    return await readDifferences(runtime, workspace, record.id, {
      first: teacherModel,
      second: studentModel,
      limit: Math.min(rows, 200),
    });
  } catch (thrown) {
    const { message, reason } = TritsmithError.from(thrown);
    return { missing: [message, reason].filter((part) => part !== undefined).join(' ') };
  }
}

/** How often `answered` stood where `gold` was right, the most frequent first. */
export interface Mistake {
  readonly gold: string;
  readonly answered: string;
  readonly rows: number;
}

export function mistakes(labels: readonly string[], counts: readonly (readonly number[])[]): Mistake[] {
  return counts
    .flatMap((row, gold) =>
      row.map((rows, answered) => ({ gold: labels[gold] ?? '', answered: labels[answered] ?? 'none', rows })),
    )
    .filter(({ gold, answered, rows }) => rows > 0 && gold !== answered)
    .sort((a, b) => b.rows - a.rows);
}

/** One sentence about how much they differ. */
export function differenceSentence({ labels, rows, differing, firstBetter, secondBetter }: DifferencesAnswer): string {
  const count = (value: number): string => value.toLocaleString('en');
  const won =
    labels.length > 0
      ? `only the teacher is right on ${count(firstBetter)}, only the student on ${count(secondBetter)}`
      : `the teacher scores higher on ${count(firstBetter)}, the student on ${count(secondBetter)}`;
  return `Teacher and student answer ${count(differing)} of ${count(rows)} held-out rows differently: ${won}.`;
}
