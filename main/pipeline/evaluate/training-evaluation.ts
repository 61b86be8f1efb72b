/** The accuracy curve of a stage: what a network that is being trained gets right of the first held-out rows. */
import type { MetricValues } from '../../contract/metric-names.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { alone, type Collective } from '../../training/collective.ts';
import type { PreparedTask } from '../task/task-data.ts';
import { classifyTogether } from './classify-together.ts';

/** Metrics of the network being trained; to be released when the training ends. */
export interface TrainingEvaluation {
  run(network: Network): Promise<MetricValues>;
  release(): Promise<void>;
}

/** Accuracy on the first rows while training, for the trainer; null when the recipe does not ask for it. */
export function trainingEvaluation(
  recipe: Recipe,
  task: PreparedTask,
  collective: Collective = alone,
): TrainingEvaluation | null {
  const { everySteps, rowsDuringTraining } = recipe.evaluation;
  const { labels } = task;
  if (everySteps === 0 || rowsDuringTraining === 0 || !labels) return null;
  const rows = task.dev.slice(0, rowsDuringTraining);
  let head: ScoringHead | null = null;
  return {
    run: async (network) => {
      head ??= await ScoringHead.create(network, { threads: recipe.threads });
      const found = await classifyTogether(
        collective,
        network,
        head,
        rows.map(({ prompt }) => prompt),
        labels.ids,
      );
      const right = found.filter(({ predicted }, index) => predicted === rows[index]!.label).length;
      return { accuracy: right / rows.length };
    },
    release: async () => {
      await head?.release();
      head = null;
    },
  };
}
