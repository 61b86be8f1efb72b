/** Learning-rate schedules. */
import type { OptimiserSettings } from '../contract/recipe.ts';

/** Learning rate of a 1-based step out of `total`: linear warm-up, then the schedule down to 0 (or constant). */
export function learningRateAt(step: number, total: number, settings: OptimiserSettings): number {
  const warmupSteps = Math.round(settings.warmup * total);
  if (step <= warmupSteps) return (settings.learningRate * step) / warmupSteps;
  if (settings.schedule === 'constant') return settings.learningRate;
  const progress = (step - warmupSteps - 1) / Math.max(1, total - warmupSteps);
  const factor = settings.schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return settings.learningRate * factor;
}
