/** How much each token counts in the logits term, by how likely its teacher finds the token that follows (docs/method.md, 5.2). */
import type { DistilSettings } from '../contract/recipe.ts';

export type TokenWeights = NonNullable<DistilSettings['tokenWeights']>;

/** TSLD's temperature, its code's own: the smaller, the more the tokens of a row differ. */
const tsldTemperature = 10;

export interface ScoredTokens {
  /** Row of the micro-batch that each token is of. */
  readonly rows: ArrayLike<number>;
  /** The teacher's log-probability of the token that follows it in the row; NaN behind a row's last one. */
  readonly logP: Float32Array;
}

/** Factors of each token's `KL(teacher || student)` and, where there is one, of its `KL(student || teacher)`. */
export interface TokenFactors {
  readonly forward: Float32Array;
  readonly reverse: Float32Array | null;
}

export function tokenFactors(kind: TokenWeights, tokens: ScoredTokens): TokenFactors {
  return kind === 'cakld' ? confidence(tokens) : scaled(tokens);
}

/** CAKLD: the surer the teacher is of what follows, the more of the reverse divergence. */
function confidence({ logP }: ScoredTokens): TokenFactors {
  const reverse = logP.map((value) => (Number.isNaN(value) ? 0 : Math.exp(value)));
  return { forward: reverse.map((value) => 1 - value), reverse };
}

/** TSLD: a softmax over the cross-entropies of a row's tokens, times their number, so that their mean is 1. A last token counts 1. */
function scaled({ rows, logP }: ScoredTokens): TokenFactors {
  const forward = new Float32Array(logP.length).fill(1);
  const members = new Map<number, number[]>();
  for (const [at, value] of logP.entries()) {
    if (Number.isNaN(value)) continue;
    const row = rows[at]!;
    const own = members.get(row);
    if (own === undefined) members.set(row, [at]);
    else own.push(at);
  }
  for (const own of members.values()) {
    const heights = own.map((at) => -logP[at]! / tsldTemperature);
    const highest = Math.max(...heights);
    const powers = heights.map((height) => Math.exp(height - highest));
    const sum = powers.reduce((total, power) => total + power, 0);
    own.forEach((at, index) => (forward[at] = (own.length * powers[index]!) / sum));
  }
  return { forward, reverse: null };
}
