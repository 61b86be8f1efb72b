/** Which step of a stage is the best: what a network that is being trained makes of the rows that are set apart to choose with. */
import type { MetricValues } from '../../contract/metric-names.ts';
import type { Deciding, Recipe } from '../../contract/recipe.ts';
import { confusion } from '../../evaluation/confusion.ts';
import type { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { type Example, microBatches } from '../../training/batches.ts';
import { alone, type Collective } from '../../training/collective.ts';
import type { LabelWords } from '../task/label-words.ts';
import type { PreparedTask } from '../task/task-data.ts';
import { classifyTogether } from './classify-together.ts';

export interface StepChoice {
  /** `score`: higher is better. */
  look(network: Network): Promise<{ score: number; values: MetricValues }>;
  /** What a score says in the words of the recipe. */
  describe(score: number): { measure: Deciding; value: number; rows: number };
  release(): Promise<void>;
}

const sameTokens = (one: Int32Array, other: Int32Array): boolean =>
  one.length === other.length && one.every((id, at) => id === other[at]);

/** Share of the rows that are answered rightly, or the mean of the classes' F1. */
async function classScore(
  collective: Collective,
  network: Network,
  head: ScoringHead,
  rows: readonly Example[],
  { ids, classes }: LabelWords,
  measure: 'accuracy' | 'macro-f1',
): Promise<number> {
  const gold = rows.map((row) => ids.findIndex((answer) => sameTokens(answer, row.ids.subarray(row.responseStart))));
  const prompts = rows.map((row) => row.ids.slice(0, row.responseStart));
  const found = await classifyTogether(collective, network, head, prompts, ids);
  const names = (indices: readonly number[]): string[] => indices.map((index) => classes[index]!);
  const { accuracy, macroF1 } = confusion(classes, names(gold), names(found.map(({ predicted }) => predicted)));
  return measure === 'accuracy' ? accuracy : macroF1;
}

/** Mean over the answers' tokens, nats. */
async function answerCrossEntropy(network: Network, head: ScoringHead, rows: readonly Example[]): Promise<number> {
  let sum = 0;
  let tokens = 0;
  for (const micro of microBatches(rows, 4096)) {
    const { hidden } = await network.forward(micro);
    for (const value of await head.logProbabilities(hidden, micro.targetPositions, micro.targets, 1)) sum -= value;
    tokens += micro.targets.length;
  }
  return sum / tokens;
}

/** Null where the recipe keeps the last step, and where there are too few rows to set any apart. */
export function stepChoice(
  { keepBest, threads }: Recipe,
  { labels }: Pick<PreparedTask, 'labels'>,
  rows: readonly Example[],
  collective: Collective = alone,
): StepChoice | null {
  if (keepBest === undefined || rows.length === 0) return null;
  const measure = labels === null ? 'cross-entropy' : keepBest.measure;
  let head: ScoringHead | null = null;
  return {
    look: async (network) => {
      head ??= await ScoringHead.create(network, { threads });
      if (labels === null || measure === 'cross-entropy') {
        const value = await answerCrossEntropy(network, head, rows);
        return { score: -value, values: { choice: value } };
      }
      const value = await classScore(collective, network, head, rows, labels, measure);
      return { score: value, values: { choice: value } };
    },
    describe: (score) => ({ measure, value: measure === 'cross-entropy' ? -score : score, rows: rows.length }),
    release: async () => {
      await head?.release();
      head = null;
    },
  };
}
