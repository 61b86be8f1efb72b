/** Where the inputs of a layer's projections come from, and where a scale of their channels can be folded in without changing what the layer computes. */
import { hasSubln, type ModelConfiguration, type Projection } from './configuration.ts';
import { layerNorms } from './parameters.ts';

/** Projections that have the same input. */
export interface InputSite {
  readonly projections: readonly Projection[];
  /** Local name of the SubLN that the projections' input passes first; null: there is none. */
  readonly subln: string | null;
  /**
   * What makes the input and takes 1 / scale: the norm of that local name, or the rows of a projection (v before o, up before down), which go through the layer
   * as factors. Null: nothing can, because the residual stream itself comes in.
   */
  readonly fold: { readonly norm: string } | { readonly rows: 'v' | 'up' } | null;
}

/** The sites of a layer in the order in which it computes them. */
export function inputSites(configuration: ModelConfiguration): InputSite[] {
  const own = layerNorms(configuration);
  const site = (projections: Projection[], fold: InputSite['fold']): InputSite[] =>
    hasSubln(configuration, projections[0]!)
      ? projections.map((name) => ({ projections: [name], subln: `${name}.subln`, fold: { norm: `${name}.subln` } }))
      : [{ projections, subln: null, fold }];
  const normed = (norm: string): InputSite['fold'] => (own.includes(norm) ? { norm } : null);
  return [
    ...site(['q', 'k', 'v'], normed('attentionNorm')),
    ...site(['o'], { rows: 'v' }),
    ...site(['gate', 'up'], normed('ffnNorm')),
    ...site(['down'], { rows: 'up' }),
  ];
}

/**
 * Of each channel that enters o, the number of the row of v that it comes from: query heads of one group read the same value head.
 * @returns `[heads * headSize]`
 */
export function valueRows({ heads, kvHeads, headSize }: ModelConfiguration): Int32Array {
  const perValue = heads / kvHeads;
  return Int32Array.from({ length: heads * headSize }, (_, channel) => {
    const head = Math.floor(channel / headSize);
    return Math.floor(head / perValue) * headSize + (channel % headSize);
  });
}
