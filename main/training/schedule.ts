/** Learning-rate schedules. */
import type { OptimiserSettings } from '../contract/recipe.ts';

/**
 * How ternary the weights of a 1-based step are when the first `anneal` (a fraction) of the steps lead from full precision to ternary:
 * 0 at the first step, rising evenly, 1 from then on.
 */
export function ternaryShareAt(step: number, total: number, anneal: number): number {
  const steps = anneal * total;
  return steps === 0 ? 1 : Math.min(1, (step - 1) / steps);
}

/** Sharpness of the last soft step (CAT-Q): all but hard. */
const sharpest = 30;

/**
 * How sharp the softened codes of a 1-based step are when they harden over the first `soften` (a fraction) of the steps: rising evenly to 30, then
 * infinity, which is hard.
 */
export function sharpnessAt(step: number, total: number, soften: number): number {
  const steps = soften * total;
  return step > steps ? Infinity : (sharpest * step) / steps;
}

/** Bits that the inputs of a model of 4 bits are rounded to in a 1-based step: 8 over the first `eightBits` (a fraction) of the steps. */
export function activationBitsAt(step: number, total: number, eightBits: number): 8 | 4 {
  return step <= Math.round(eightBits * total) ? 8 : 4;
}

/** Learning rate of a 1-based step out of `total`: linear warm-up to `peak`, then the schedule down to 0 (or constant). */
export function learningRateAt(
  step: number,
  total: number,
  settings: OptimiserSettings,
  peak = settings.learningRate,
): number {
  const warmupSteps = Math.round(settings.warmup * total);
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  if (settings.schedule === 'constant') return peak;
  const progress = (step - warmupSteps - 1) / Math.max(1, total - warmupSteps);
  const factor = settings.schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return peak * factor;
}

/** How far a weight goes in a stage whose every step has the full rate of its place in the schedule and the same sign: the sum of the rates. */
export function farthestTravel(total: number, settings: OptimiserSettings, peak: number): number {
  let sum = 0;
  for (let step = 1; step <= total; step += 1) sum += learningRateAt(step, total, settings, peak);
  return sum;
}

/** Where a weight can move less than this in a stage, in bins, few codes can change: not much more than as large a share of them. */
export const leastTravel = 0.05;

/**
 * How far a ternary weight can move in a stage, in bins.
 * @param delta of its matrix
 */
export function ternaryTravel(total: number, settings: OptimiserSettings, delta: number): number {
  return farthestTravel(total, settings, ternaryPeak(settings) ?? settings.learningRate / delta);
}

/** `ternaryRate: 'auto'`: what was best, or near it, in stages of 16 to 63 steps (docs/results.md, "Rates in units of delta"). */
const automaticRate = 0.01;

/** Peak rate of ternary latents in units of delta; null where the settings give them the learning rate of everything else. */
export function ternaryPeak({ ternaryRate }: Pick<OptimiserSettings, 'ternaryRate'>): number | null {
  if (ternaryRate === undefined) return null;
  return ternaryRate === 'auto' ? automaticRate : ternaryRate;
}

/** The settings with all rates at `share` of what they are. */
export function slower(settings: OptimiserSettings, share: number): OptimiserSettings {
  const peak = ternaryPeak(settings);
  return {
    ...settings,
    learningRate: settings.learningRate * share,
    ...(peak === null ? {} : { ternaryRate: peak * share }),
  };
}
