/** Where two models of an experiment answer differently, with the texts, and which class each takes for which. */
import { TritsmithError } from '../../contract/errors.ts';
import type { DifferencesAnswer, DifferencesRequest } from '../../contract/result-queries.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import { type ComparedModel, comparedModels } from '../../contract/model-names.ts';
import { confusion } from '../../evaluation/confusion.ts';
import { readExperimentFile } from '../../experiment/record.ts';
import { readEvaluation } from '../../experiment/results.ts';
import { rougeOfRows } from './evaluations.ts';
import type { LabelWords } from '../task/label-words.ts';
import { openTask } from '../task/open-task.ts';
import type { PreparedTask } from '../task/task-data.ts';

/** What a model answered to each row, as text, and what each answer is worth. */
interface Answered {
  readonly texts: readonly string[];
  readonly scores: readonly number[];
}

/** @throws TritsmithError `not-found` before the evaluation has been written, `damaged` when it belongs to other rows */
export async function differingRows({ folder, first, second, limit }: DifferencesRequest): Promise<DifferencesAnswer> {
  const { recipe } = readExperimentFile(folder);
  const { task, tokenizer } = await openTask({ recipe, folder });
  const { dev, labels } = task;
  const evaluations = readEvaluations(folder, dev.length);
  const [a, b] = [first, second].map((model) => answeredBy(evaluations.get(model), task));
  if (a === undefined || b === undefined) throw new TritsmithError('not-found', 'results.not-evaluated');
  const differing = [...dev.keys()].filter((row) => a.texts[row] !== b.texts[row]);
  const gain = (row: number): number => b.scores[row]! - a.scores[row]!;
  // What the second got wrong and the first right is what a person looks for; then the reverse, then both alike.
  const group = (row: number): number => (gain(row) < 0 ? 0 : gain(row) > 0 ? 1 : 2);
  return {
    labels: [...(labels?.classes ?? [])],
    confusion: labels === null ? [] : matrices(evaluations, labels, task),
    rows: dev.length,
    differing: differing.length,
    firstBetter: differing.filter((row) => gain(row) < 0).length,
    secondBetter: differing.filter((row) => gain(row) > 0).length,
    examples: differing
      .toSorted((x, y) => group(x) - group(y) || Math.abs(gain(y)) - Math.abs(gain(x)) || x - y)
      .slice(0, limit)
      .map((row) => ({
        row: row + 1,
        prompt: tokenizer.decode(dev[row]!.prompt, { skipSpecialTokens: true }).trim(),
        gold: dev[row]!.reference,
        first: a.texts[row]!,
        second: b.texts[row]!,
        firstScore: a.scores[row]!,
        secondScore: b.scores[row]!,
      })),
  };
}

function readEvaluations(folder: string, rows: number): Map<ComparedModel, ModelEvaluation> {
  const found = new Map<ComparedModel, ModelEvaluation>();
  for (const name of comparedModels) {
    const evaluation = readEvaluation(folder, name);
    if (evaluation === null) continue;
    const kept = Math.max(evaluation.predictions.length, evaluation.answers.length);
    if (kept !== rows) throw new TritsmithError('damaged', 'results.of-other-rows', { answers: kept, rows });
    found.set(name, evaluation);
  }
  return found;
}

function answeredBy(evaluation: ModelEvaluation | undefined, task: PreparedTask): Answered | undefined {
  const { dev, labels } = task;
  if (evaluation === undefined) return undefined;
  if (labels === null) return { texts: evaluation.answers, scores: rougeOfRows(task, evaluation) };
  return {
    texts: evaluation.predictions.map((index) => labels.classes[index] ?? 'none'),
    scores: evaluation.predictions.map((index, row) => (index === dev[row]!.label ? 1 : 0)),
  };
}

function matrices(
  evaluations: ReadonlyMap<ComparedModel, ModelEvaluation>,
  { classes }: LabelWords,
  { dev }: PreparedTask,
): DifferencesAnswer['confusion'] {
  const words = (indices: readonly number[]): string[] => indices.map((index) => classes[index] ?? '');
  const gold = words(dev.map(({ label }) => label));
  return [...evaluations.values()].map(({ model, predictions }) => {
    const { counts, macroF1 } = confusion(classes, gold, words(predictions));
    return { model, counts: counts.map((row) => [...row]), macroF1 };
  });
}
