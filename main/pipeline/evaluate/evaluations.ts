/** The figures of models on the held-out rows: computed from answers, compared in pairs, and kept. */
import { type ComparedModel, teacherModel } from '../../contract/model-names.ts';
import type { ModelDifference, ModelEvaluation } from '../../contract/results.ts';
import { agreement } from '../../evaluation/agreement.ts';
import type { ClassifiedRow } from '../../evaluation/answer-classes.ts';
import { corpusBleu } from '../../evaluation/bleu.ts';
import { bootstrapInterval } from '../../evaluation/bootstrap.ts';
import { calibrationOf } from '../../evaluation/calibration.ts';
import { comparePaired } from '../../evaluation/mcnemar.ts';
import { rouge, rougeOfSet } from '../../evaluation/rouge.ts';
import { wilsonInterval } from '../../evaluation/wilson.ts';
import { upperMedian } from '../../basics/numbers.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { writeEvaluation } from '../../experiment/results.ts';
import type { LabelWords } from '../task/label-words.ts';
import type { PreparedTask } from '../task/task-data.ts';
import type { WrittenAnswers } from './written-answers.ts';

/** Keeps the evaluations, each with what only a comparison with the others can say. */
export async function writeEvaluations(
  folder: string,
  task: PreparedTask,
  results: readonly ModelEvaluation[],
  seed: number,
): Promise<void> {
  for (const result of results) await writeEvaluation(folder, withPairedScores(result, results, task, seed));
}

/** The figures of a classifier from each row's scores. */
export function classifierEvaluation(
  name: ComparedModel,
  { dev, drawnFrom }: PreparedTask,
  { ids }: LabelWords,
  found: readonly ClassifiedRow[],
): ModelEvaluation {
  const rows = dev.length;
  const right = found.filter(({ predicted }, index) => predicted === dev[index]!.label).length;
  const tokens = dev.reduce((sum, { label }) => sum + ids[label]!.length, 0);
  const likelihood = found.reduce((sum, { scores }, index) => sum + scores[dev[index]!.label]!, 0);
  const calibration = calibrationOf(found.map(({ scores }, index) => ({ scores, label: dev[index]!.label })));
  return {
    model: name,
    metric: 'accuracy',
    value: right / rows,
    ci95: wilsonInterval(right, rows),
    rows,
    ...(drawnFrom === null ? {} : { drawnFrom }),
    crossEntropy: -likelihood / tokens,
    scores: {},
    differences: [],
    predictions: found.map(({ predicted }) => predicted),
    answers: [],
    request: { promptTokens: upperMedian(dev.map(({ prompt }) => prompt.length)) ?? 1, answerTokens: 1 },
    ...(calibration === null ? {} : { calibration }),
  };
}

/** ROUGE and BLEU of written answers. */
export function writerEvaluation(
  name: ComparedModel,
  { dev, drawnFrom }: PreparedTask,
  tokenizer: Tokenizer,
  { answers, crossEntropy }: WrittenAnswers,
  seed: number,
): ModelEvaluation {
  const texts = answers.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }).trim());
  const references = dev.map(({ reference }) => reference);
  const { rouge1, rouge2, rougeL, rougeLsum } = rougeOfSet(references, texts, { seed });
  return {
    model: name,
    metric: 'rougeL',
    value: rougeL.mean,
    ci95: rougeL.ci95,
    rows: dev.length,
    ...(drawnFrom === null ? {} : { drawnFrom }),
    crossEntropy,
    scores: {
      rouge1: rouge1.mean,
      rouge2: rouge2.mean,
      rougeLsum: rougeLsum.mean,
      bleu4: corpusBleu(references, texts).score,
      perplexity: Math.exp(crossEntropy),
    },
    differences: [],
    predictions: [],
    answers: texts,
    request: {
      promptTokens: upperMedian(dev.map(({ prompt }) => prompt.length)) ?? 1,
      answerTokens: Math.max(1, upperMedian(dev.map(({ referenceIds }) => referenceIds.length)) ?? 1),
    },
  };
}

/** ROUGE-L of each row's answer. */
export function rougeOfRows({ dev }: PreparedTask, { answers }: ModelEvaluation): number[] {
  return dev.map(({ reference }, row) => rouge(reference, answers[row] ?? '').rougeL.fmeasure);
}

/**
 * Adds agreement with the teacher and the paired differences: for classes with McNemar's test, for texts the mean difference of the
 * rows' ROUGE-L with a bootstrap interval over the rows.
 */
function withPairedScores(
  own: ModelEvaluation,
  others: readonly ModelEvaluation[],
  task: PreparedTask,
  seed: number,
): ModelEvaluation {
  const scores = { ...own.scores };
  const differences: ModelDifference[] = [];
  const gold = task.dev.map(({ label }) => label);
  for (const other of others) {
    if (other.model === own.model) continue;
    const { difference, ci95, pValue } =
      own.metric === 'accuracy'
        ? comparePaired(gold, other.predictions, own.predictions)
        : { ...pairedTexts(task, own, other, seed), pValue: null };
    differences.push({ from: other.model, value: difference, low: ci95[0], high: ci95[1], mcnemarP: pValue });
    if (other.model === teacherModel)
      scores.agreementWithTeacher =
        own.metric === 'accuracy'
          ? agreement(other.predictions, own.predictions).share
          : agreement(other.answers, own.answers).share;
  }
  return { ...own, scores, differences };
}

function pairedTexts(
  task: PreparedTask,
  own: ModelEvaluation,
  other: ModelEvaluation,
  seed: number,
): { difference: number; ci95: [number, number] } {
  const theirs = rougeOfRows(task, other);
  const differences = rougeOfRows(task, own).map((score, row) => score - theirs[row]!);
  const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length;
  return { difference: mean, ci95: bootstrapInterval(differences, seed) };
}
