/** Every way to make a student ternary that the benchmark compares, as a change of one recipe. */
import type { RecipeInput } from '../../main/contract/recipe.ts';

export interface QuantiserVariant {
  /** For `--only`. */
  readonly name: string;
  /** In the table. */
  readonly title: string;
  readonly change: Pick<RecipeInput, 'quantisation' | 'calibrate'>;
  /** Its I2_S file is of an architecture of our own, which other programs refuse. */
  readonly own?: true;
  /** Its codes can't be soft: it is reconstructed with hard ones from the first step. */
  readonly hard?: true;
}

export const variants: readonly QuantiserVariant[] = [
  { name: 'plain', title: 'BitNet b1.58: absmean, one scale a matrix', change: {} },
  { name: 'absmedian', title: 'absmedian', change: { quantisation: { weights: { scale: 'absmedian' } } } },
  { name: 'learned', title: 'learned scale (LSQ/SEQ)', change: { quantisation: { weights: { scale: 'learned' } } } },
  { name: 'row', title: 'a scale for each row', change: { quantisation: { weights: { group: 'row' } } } },
  { name: 'block', title: 'a scale for each 64 columns', change: { quantisation: { weights: { group: 64 } } } },
  {
    name: 'deviation',
    title: 'formula called `gptq` in the released code',
    change: { quantisation: { weights: { scale: 'deviation' } } },
  },
  {
    name: 'row-levels',
    title: 'formula called `awq` in the released code',
    change: { quantisation: { weights: { scale: 'row-levels' } } },
  },
  { name: 'gptq', title: 'start from GPTQ', change: { calibrate: { method: 'gptq' } } },
  { name: 'awq', title: 'start from AWQ', change: { calibrate: { method: 'awq' } } },
  {
    name: '6:8',
    title: 'Sparse-BitNet, 6 of 8',
    change: { quantisation: { weights: { sparsity: '6:8' } } },
  },
  { name: '3:4', title: 'Sparse-BitNet, 3 of 4', change: { quantisation: { weights: { sparsity: '3:4' } } } },
  {
    name: 'exactly-3:4',
    title: 'Sherry: exactly 3 of 4, 1.25 bits',
    change: { quantisation: { weights: { sparsity: 'exactly-3:4' } } },
    hard: true,
  },
  { name: '2:4', title: 'Sparse-BitNet, 2 of 4', change: { quantisation: { weights: { sparsity: '2:4' } } } },
  {
    name: 'turned',
    title: 'BitNet v2, 8-bit inputs',
    change: { quantisation: { activations: { hadamard: true } } },
    own: true,
  },
  {
    name: 'turned-4',
    title: 'BitNet v2, 4-bit inputs',
    change: { quantisation: { activations: { hadamard: true, bits: 4 } } },
    own: true,
  },
  {
    name: 'inputs-4',
    title: '4-bit inputs, not turned',
    change: { quantisation: { activations: { bits: 4 } } },
    own: true,
  },
];
