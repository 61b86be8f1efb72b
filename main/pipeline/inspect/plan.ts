/** Which jobs a recipe needs, in order, and what each costs relative to the others. */
import type { PlannedJob } from '../../contract/queries.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { pretrainSteps } from '../models-of-recipe.ts';

/** Cost of one step relative to a full-precision one: a ternary step quantises, a distilling one also runs the teacher. */
const ternaryStep = 1.3;
const distillingStep = 1.9;

/** Weights are steps (or epochs, counted as a thousand steps each where the rows are not known yet) times their cost. */
export function planJobs(recipe: Recipe): PlannedJob[] {
  const steps = (length: { epochs: number; steps?: number | undefined }): number =>
    length.steps ?? length.epochs * 1000;
  const { finetune, pretrain, distil } = recipe;
  const distilSteps = steps(distil);
  const stage2 = pretrain ? pretrainSteps(pretrain) : 0;
  const training: PlannedJob[] = [
    ...(finetune ? [{ kind: 'finetune' as const, weight: steps(finetune) }] : []),
    { kind: 'refine', weight: 5 },
    ...(pretrain ? [{ kind: 'pretrain' as const, weight: stage2 * ternaryStep * 3 }] : []),
    { kind: 'distil', weight: distilSteps * distillingStep },
    ...(recipe.baseline ? [{ kind: 'baseline' as const, weight: (distilSteps + stage2) * ternaryStep }] : []),
  ];
  const total = training.reduce((sum, { weight }) => sum + weight, 0);
  return [
    ...training,
    { kind: 'evaluate', weight: total * 0.04 },
    { kind: 'export', weight: total * 0.005 },
    { kind: 'measure-teacher', weight: total * 0.01 },
    ...(recipe.baseline ? [{ kind: 'measure-baseline' as const, weight: total * 0.01 }] : []),
    { kind: 'measure-student', weight: total * 0.01 },
    { kind: 'four-bit', weight: total * 0.02 },
  ];
}
