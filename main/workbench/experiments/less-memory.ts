/** What to do about a run that memory ended. */
import type { OptimiserSettings, Recipe } from '../../contract/recipe.ts';

const fewestTokens = 64;

/**
 * The recipe with half as many tokens at once in every training stage, and with activations computed again where they are at their
 * fewest. The result is the same but for rounding; a stage that was begun starts anew, because its checkpoint is of the other recipe.
 */
export function withLessMemory(recipe: Recipe): Recipe {
  const stages = [recipe.finetune, recipe.pretrain, recipe.distil].filter((stage) => stage !== null);
  const least = stages.every(({ optimiser }) => optimiser.microBatchTokens <= fewestTokens);
  const half = <T extends { readonly optimiser: OptimiserSettings }>(stage: T): T => ({
    ...stage,
    optimiser: {
      ...stage.optimiser,
      microBatchTokens: Math.max(fewestTokens, Math.floor(stage.optimiser.microBatchTokens / 2)),
    },
  });
  return {
    ...recipe,
    finetune: recipe.finetune && half(recipe.finetune),
    pretrain: recipe.pretrain && half(recipe.pretrain),
    distil: half(recipe.distil),
    recomputeActivations: recipe.recomputeActivations || least,
  };
}
