/** Quantisation as a value (docs/method.md, 2): how the linear layers of a student are rounded. In recipes, configurations and students' folders. */
import { z } from 'zod';

export const scaleFormula = z.enum(['absmean', 'absmedian', 'learned', 'deviation', 'row-levels']);
export type ScaleFormula = z.infer<typeof scaleFormula>;

const sparsity = z.enum(['6:8', '3:4', '2:4', 'exactly-3:4']);
export type Sparsity = z.infer<typeof sparsity>;

/** What a person sets; what is absent is as in BitNet b1.58: absmean, one scale a matrix. */
export const quantisationSettings = z.object({
  weights: z
    .object({
      /**
       * What a +1 stands for: the mean of the absolute latent weights, or their median; or a parameter that starts at that mean and is trained like any other
       * (`learned`: LSQ, ParetoQ's SEQ); or, to compare with, the formulas that BitDistill's released code calls `gptq` (`deviation`, for a matrix) and `awq`
       * (`row-levels`, for each row), which have little to do with these methods.
       */
      scale: scaleFormula.optional(),
      /** Weights that share a scale: a matrix, a row of it, or so many consecutive columns of a row. Files hold blocks of 64. */
      group: z.union([z.enum(['tensor', 'row']), z.int().min(64).max(65_536).multipleOf(64)]).optional(),
      /**
       * Of so many consecutive weights of a row only the largest are not 0 (Sparse-BitNet): `6:8` keeps six of eight. `exactly-3:4` (Sherry): of each four the
       * three largest become their sign, so exactly one is 0. Absent: any may be.
       */
      sparsity: sparsity.optional(),
    })
    .optional(),
  /** What enters the matrices (BitNet v2). */
  activations: z
    .object({
      /** What enters o and down is turned by a Hadamard matrix before it is rounded, so that no channel is much larger than the others. */
      hadamard: z.boolean().optional(),
      /** Bits of the whole numbers that inputs are rounded to: 8 or 4; absent: 8. */
      bits: z.int().min(4).max(8).multipleOf(4).optional(),
      /** Of 4 bits: the share of the steps of Stage 3 (and of the baseline) that come first, with 8 bits; absent: `usualEightBitShare`. */
      eightBitShare: z.number().min(0).max(1).optional(),
    })
    .optional(),
});
export type QuantisationSettings = z.infer<typeof quantisationSettings>;

/** The same with everything said. */
export interface Quantisation {
  readonly weights: {
    readonly scale: ScaleFormula;
    readonly group: 'tensor' | 'row' | number;
    readonly sparsity?: Sparsity;
  };
  /** Absent: as in BitNet b1.58, 8 bits and nothing turned. */
  readonly activations?: Activations;
}

export interface Activations {
  readonly hadamard: boolean;
  readonly bits: 8 | 4;
}

/** Where a recipe with 4 bits does not say how long 8 come first. */
export const usualEightBitShare = 0.8;

/** BitNet b1.58. */
export const plainQuantisation: Quantisation = { weights: { scale: 'absmean', group: 'tensor' } };

export function quantisationOf(settings: QuantisationSettings | undefined): Quantisation {
  const { scale, group, sparsity } = settings?.weights ?? {};
  const { hadamard = false, bits } = settings?.activations ?? {};
  const usual = scale === 'row-levels' ? 'row' : 'tensor';
  return withActivations(
    { weights: { scale: scale ?? 'absmean', group: group ?? usual, ...(sparsity && { sparsity }) } },
    { hadamard, bits: bits === 4 ? 4 : 8 },
  );
}

export function activationsOf({ activations }: Quantisation): Activations {
  return activations ?? { hadamard: false, bits: 8 };
}

/** The same weights with other activations. */
export function withActivations({ weights }: Quantisation, activations: Activations): Quantisation {
  return activations.hadamard || activations.bits === 4 ? { weights, activations } : { weights };
}

/** The same in 8 bits: what a student of 4 bits is until the last part of its last stage. */
export function inEightBits(quantisation: Quantisation): Quantisation {
  return withActivations(quantisation, { ...activationsOf(quantisation), bits: 8 });
}

/** The two numbers of a sparsity: `keep` of `of` weights; `exact`: exactly so many, none of those that are kept is 0. */
export function keptOf(sparsity: Sparsity): { keep: number; of: number; exact: boolean } {
  const exact = sparsity === 'exactly-3:4';
  const [keep, of] = (exact ? '3:4' : sparsity).split(':').map(Number);
  return { keep: keep!, of: of!, exact };
}
