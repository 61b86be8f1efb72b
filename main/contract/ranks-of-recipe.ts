/** Whether a number of ranks can share a recipe: one check for who plans a run and for who takes part in it. */
import { TritsmithError } from './errors.ts';
import type { Recipe } from './recipe.ts';

/** @throws TritsmithError `bad-input` where a recipe cannot be shared by so many ranks */
export function assertRanksShare(
  { shards, roundedExchange: parts }: Pick<Recipe, 'shards' | 'roundedExchange'>,
  ranks: number,
): void {
  if (shards === undefined) {
    if (ranks > 1) throw new TritsmithError('bad-input', 'ranks.no-shards', { ranks });
  } else if (shards % ranks !== 0) throw new TritsmithError('bad-input', 'ranks.not-a-divisor', { ranks, shards });
  if (parts === undefined) return;
  if (shards === undefined || shards % parts !== 0)
    throw new TritsmithError('bad-input', 'ranks.rounded-parts', { parts, shards: shards ?? null });
  if (parts % ranks !== 0) throw new TritsmithError('bad-input', 'ranks.more-than-parts', { ranks, parts });
}
