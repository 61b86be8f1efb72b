/** What AdamW keeps of each value from step to step: two moments in float32, or in a byte each with a scale for every block of them (docs/method.md, 5.10). */
import { type AdamWSettings, momentBlock, native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import type { ParameterSpecification } from '../models/parameters.ts';
import type { ParameterPart } from './shards.ts';

/** How an array holds something of every value: parameters one after the other, each in whole blocks. */
export interface MomentLayout {
  /** Values of a block; a parameter's last one may have fewer. */
  readonly block: number;
  /** Numbers of 4 bytes for each block. */
  readonly numbers: number;
}

export interface MomentArray extends MomentLayout {
  /** What a checkpoint calls it. */
  readonly kind: string;
  readonly values: Float32Array;
  /** Each of `values` stands for four bytes. */
  readonly bytes: boolean;
}

export interface Moments {
  readonly arrays: readonly MomentArray[];
  /** Steps the values of a part. @param at its place among all parts */
  step(at: number, values: Float32Array, gradients: Float32Array, settings: AdamWSettings): void;
}

/** Values of a block, at whose borders alone the values of a parameter may be dealt out. */
export function blockOf({ moments }: Pick<OptimiserSettings, 'moments'>): number {
  return moments === undefined ? 1 : momentBlock;
}

/**
 * @param specifications of all values, some of which are stepped
 * @param parts of these, in their order
 * @throws TritsmithError `out-of-memory` when the machine can't hold them
 */
export function momentsOf(
  settings: Pick<OptimiserSettings, 'moments'>,
  specifications: readonly ParameterSpecification[],
  parts: readonly ParameterPart[],
): Moments {
  return settings.moments === undefined ? floatMoments(parts) : byteMoments(specifications, parts);
}

function floatMoments(parts: readonly ParameterPart[]): Moments {
  const starts = startsOf(parts.map(({ count }) => count));
  const of = (kind: string) => ({ kind, block: 1, numbers: 1, bytes: false, values: zeros(starts.at(-1)!) });
  const [first, second] = [of('firstMoment'), of('secondMoment')];
  return {
    arrays: [first, second],
    step: (at, values, gradients, settings) => {
      const own = ({ values: all }: MomentArray): Float32Array => all.subarray(starts[at], starts[at + 1]);
      native.adamW(values, gradients, own(first), own(second), settings);
    },
  };
}

function byteMoments(specifications: readonly ParameterSpecification[], parts: readonly ParameterPart[]): Moments {
  const starts = startsOf(parts.map(({ count }) => Math.ceil(count / momentBlock)));
  const numbers = momentBlock / Float32Array.BYTES_PER_ELEMENT;
  const [codes, scales] = [
    (kind: string) => ({ kind, block: momentBlock, numbers, bytes: true, values: zeros(starts.at(-1)! * numbers) }),
    (kind: string) => ({ kind, block: momentBlock, numbers: 1, bytes: false, values: zeros(starts.at(-1)!) }),
  ] as const;
  const first = codes('firstMoment');
  const second = codes('secondMoment');
  const firstScale = scales('firstScale');
  const secondScale = scales('secondScale');
  const numberOf = placesIn(specifications, { block: momentBlock, numbers: 1 });
  const blocks = parts.map(({ at }) => numberOf(at));
  return {
    arrays: [first, second, firstScale, secondScale],
    step: (at, values, gradients, settings) => {
      const [begin, end] = [starts[at]!, starts[at + 1]!];
      const bytes = ({ values: all }: MomentArray): Uint8Array =>
        bytesOf(all).subarray(begin * momentBlock, end * momentBlock);
      const moments = {
        first: bytes(first),
        second: bytes(second),
        firstScales: firstScale.values.subarray(begin, end),
        secondScales: secondScale.values.subarray(begin, end),
      };
      native.adamWBytes(values, gradients, moments, settings, blocks[at]!);
    },
  };
}

/** The bytes of some numbers; writing to them changes the numbers. */
export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Parameters as an array of moments has them. */
export function specificationsIn(
  specifications: readonly ParameterSpecification[],
  { block, numbers, bytes }: MomentArray,
): ParameterSpecification[] {
  if (block === 1) return [...specifications];
  return specifications.map((specification) => {
    const size = Math.ceil(specification.size / block) * numbers;
    return { ...specification, size, shape: [bytes ? size * Float32Array.BYTES_PER_ELEMENT : size] };
  });
}

/** Where what is kept of a value begins in an array of moments of all values. Only for values with which a block begins, and the end. */
export function placesIn(
  specifications: readonly ParameterSpecification[],
  { block, numbers }: MomentLayout,
): (value: number) => number {
  const values = startsOf(specifications.map(({ size }) => size));
  const places = startsOf(specifications.map(({ size }) => Math.ceil(size / block) * numbers));
  return (value) => {
    const next = values.findIndex((start) => start > value);
    const at = next < 0 ? specifications.length : next - 1;
    return places[at]! + Math.ceil((value - values[at]!) / block) * numbers;
  };
}

/** Where each of some counts begins when they lie one after the other, and where the last one ends. */
function startsOf(counts: readonly number[]): number[] {
  let end = 0;
  return [0, ...counts.map((count) => (end += count))];
}

function zeros(count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (error) {
    throw new TritsmithError('out-of-memory', 'memory.parameters', {
      parameters: count,
      problem: error instanceof Error ? error.message : String(error),
    });
  }
}
