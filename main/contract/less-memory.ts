/** What to do about a run that memory ended: the run page offers it, the queue does it. */
import type { OptimiserSettings, Recipe } from './recipe.ts';

const fewestTokens = 64;

/**
 * `half-the-tokens`: half as many tokens at once in every training stage; the result is the same but for rounding, and a stage that was begun
 * starts anew, because its checkpoint is of the other recipe. `recompute`: activations are computed again in the backward pass; the result is the
 * same, and the stage goes on from its checkpoint.
 */
export type LessMemory = 'half-the-tokens' | 'recompute';

function stagesOf(recipe: Recipe): readonly { readonly optimiser: OptimiserSettings }[] {
  const { finetune, reconstruct, pretrain, distil } = recipe;
  return [finetune, reconstruct, pretrain, distil].filter((stage) => stage !== null && stage !== undefined);
}

/** What a recipe has left to need less memory: tokens down to 64, then activations; null: nothing. */
export function lessMemoryOf(recipe: Recipe): LessMemory | null {
  if (stagesOf(recipe).some(({ optimiser }) => optimiser.microBatchTokens > fewestTokens)) return 'half-the-tokens';
  return recipe.recomputeActivations ? null : 'recompute';
}

/** The recipe after the step that `lessMemoryOf` names; itself where nothing is left. */
export function withLessMemory(recipe: Recipe): Recipe {
  if (lessMemoryOf(recipe) !== 'half-the-tokens') return { ...recipe, recomputeActivations: true };
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
    ...(recipe.reconstruct ? { reconstruct: half(recipe.reconstruct) } : {}),
    pretrain: recipe.pretrain && half(recipe.pretrain),
    distil: half(recipe.distil),
  };
}
