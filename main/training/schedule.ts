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

/** Learning rate of a 1-based step out of `total`: linear warm-up, then the schedule down to 0 (or constant). */
export function learningRateAt(step: number, total: number, settings: OptimiserSettings): number {
  const warmupSteps = Math.round(settings.warmup * total);
  if (step <= warmupSteps) return (settings.learningRate * step) / warmupSteps;
  if (settings.schedule === 'constant') return settings.learningRate;
  const progress = (step - warmupSteps - 1) / Math.max(1, total - warmupSteps);
  const factor = settings.schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return settings.learningRate * factor;
}
