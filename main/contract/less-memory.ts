/** What to do about a run that memory ended: the run page offers it, the queue does it. */
import type { OptimiserSettings, Recipe } from './recipe.ts';

const fewestTokens = 64;

/**
 * `half-the-tokens`: half as many tokens at once in every training stage; the result is the same but for rounding, and a stage that was begun
 * starts anew, because its checkpoint is of the other recipe. `recompute`: activations are computed again in the backward pass; the result is the
 * same, and the stage goes on from its checkpoint. `byte-moments`: the optimiser's moments in a byte each; the result is another, nearly as good one, and the
 * stage starts anew.
 */
export type LessMemory = 'half-the-tokens' | 'recompute' | 'byte-moments';

function stagesOf(recipe: Recipe): readonly { readonly optimiser: OptimiserSettings }[] {
  const { finetune, reconstruct, pretrain, distil } = recipe;
  return [finetune, reconstruct, pretrain, distil].filter((stage) => stage !== null && stage !== undefined);
}

/** What a recipe has left to need less memory: tokens down to 64, then activations, then moments; null: nothing. */
export function lessMemoryOf(recipe: Recipe): LessMemory | null {
  const stages = stagesOf(recipe);
  if (stages.some(({ optimiser }) => optimiser.microBatchTokens > fewestTokens)) return 'half-the-tokens';
  if (!recipe.recomputeActivations) return 'recompute';
  return stages.some(({ optimiser }) => optimiser.moments === undefined) ? 'byte-moments' : null;
}

/** The recipe after the step that `lessMemoryOf` names; itself where nothing is left. */
export function withLessMemory(recipe: Recipe): Recipe {
  switch (lessMemoryOf(recipe)) {
    case 'half-the-tokens':
      return withOptimisers(recipe, ({ microBatchTokens }) => ({
        microBatchTokens: Math.max(fewestTokens, Math.floor(microBatchTokens / 2)),
      }));
    case 'recompute':
      return { ...recipe, recomputeActivations: true };
    case 'byte-moments':
      return withByteMoments(recipe);
    case null:
      return recipe;
  }
}

/** The recipe with AdamW's moments in bytes, in every stage that trains. */
export function withByteMoments(recipe: Recipe): Recipe {
  return withOptimisers(recipe, () => ({ moments: '8-bit' }));
}

function withOptimisers(recipe: Recipe, change: (of: OptimiserSettings) => Partial<OptimiserSettings>): Recipe {
  const changed = <T extends { readonly optimiser: OptimiserSettings }>(stage: T): T => ({
    ...stage,
    optimiser: { ...stage.optimiser, ...change(stage.optimiser) },
  });
  return {
    ...recipe,
    finetune: recipe.finetune && changed(recipe.finetune),
    ...(recipe.reconstruct ? { reconstruct: changed(recipe.reconstruct) } : {}),
    pretrain: recipe.pretrain && changed(recipe.pretrain),
    distil: changed(recipe.distil),
  };
}
