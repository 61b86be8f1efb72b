/** Whether a classifier's scores can be taken as probabilities, and the temperature that makes them so (docs/method.md, 11). */
import type { ScoreCalibration, SurePoint } from '../contract/results.ts';
import { wilsonInterval } from './wilson.ts';

/** Log-probabilities of each class's answer, and the class that is right. */
export interface ScoredRow {
  readonly scores: readonly number[];
  readonly label: number;
}

/** Scores are divided by something between these. */
const leastTemperature = 0.05;
const mostTemperature = 20;

/** Probabilities of the classes: softmax(scores / temperature). */
export function probabilities(scores: readonly number[], temperature: number): number[] {
  const greatest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp((score - greatest) / temperature));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((each) => each / sum);
}

/**
 * The temperature between 0.05 and 20 with which the right classes are likeliest (Guo et al. 2017, arXiv 1706.04599, section 4.2): the log-likelihood is concave in 1 / temperature,
 * so its slope is bisected. 1 without rows.
 */
export function fitTemperature(rows: readonly ScoredRow[]): number {
  if (rows.length === 0) return 1;
  /** Derivative of the log-likelihood with respect to 1 / temperature; it falls. */
  const slope = (temperature: number): number =>
    rows.reduce((sum, { scores, label }) => {
      const expected = probabilities(scores, temperature).reduce((mean, p, at) => mean + p * scores[at]!, 0);
      return sum + scores[label]! - expected;
    }, 0);
  let [low, high] = [leastTemperature, mostTemperature];
  if (slope(low) >= 0) return low;
  if (slope(high) <= 0) return high;
  while (high / low > 1 + 1e-9) {
    const middle = Math.sqrt(low * high);
    if (slope(middle) >= 0) high = middle;
    else low = middle;
  }
  return Math.sqrt(low * high);
}

/** What the likeliest class of a row is given, and whether it is the right one. */
interface Answer {
  readonly confidence: number;
  readonly right: boolean;
}

function answerOf({ scores, label }: ScoredRow, temperature: number): Answer {
  const shares = probabilities(scores, temperature);
  const confidence = Math.max(...shares);
  return { confidence, right: shares.indexOf(confidence) === label };
}

const bins = 10;

/** Expected calibration error: how far confidence and share of right answers lie apart, over ten bins of equal width, each weighted by its rows. */
function calibrationError(answers: readonly Answer[]): number {
  const sums = new Float64Array(bins);
  for (const { confidence, right } of answers)
    sums[Math.min(bins - 1, Math.floor(confidence * bins))]! += (right ? 1 : 0) - confidence;
  return sums.reduce((total, sum) => total + Math.abs(sum), 0) / answers.length;
}

const thresholds = [0.6, 0.7, 0.8, 0.9, 0.95, 0.99];

function surePoint(answers: readonly Answer[], atLeast: number): SurePoint {
  const sure = answers.filter(({ confidence }) => confidence >= atLeast);
  const right = sure.filter((answer) => answer.right).length;
  return { atLeast, rows: sure.length, right, ci95: wilsonInterval(right, sure.length) };
}

/**
 * How far the scores can be trusted. `temperature` is fitted on all rows; what is said of it is measured on rows that it was not fitted on: the even
 * ones with the temperature of the odd ones, and the odd ones with that of the even ones. Null for fewer than 20 rows, which say nothing.
 */
export function calibrationOf(rows: readonly ScoredRow[]): ScoreCalibration | null {
  if (rows.length < 20) return null;
  const halves = [0, 1].map((half) => fitTemperature(rows.filter((_, at) => at % 2 !== half)));
  const answers = rows.map((row, at) => answerOf(row, halves[at % 2]!));
  return {
    temperature: fitTemperature(rows),
    errorBefore: calibrationError(rows.map((row) => answerOf(row, 1))),
    error: calibrationError(answers),
    sure: thresholds.map((atLeast) => surePoint(answers, atLeast)),
  };
}
