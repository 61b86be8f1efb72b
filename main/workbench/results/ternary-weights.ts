/** Shares of -1, 0 and +1 and the flip rate of each layer, gathered from the curves that a training stage left. */
import type { JobKind } from '../../contract/jobs.ts';
import type { TernaryWeights } from '../../contract/views.ts';
import type { MetricStore } from '../workspace/metric-store.ts';

/** A stage reports its layers about 120 times, so that thinning to this many points drops none. */
const mostPoints = 1000;

export function readTernaryWeights(metrics: MetricStore, experiment: string, stage: JobKind): TernaryWeights {
  const columns = new Map(
    metrics
      .list(experiment)
      .filter(({ name }) => name.startsWith(`${stage}/ternary/`))
      .map(({ name }) => [
        name,
        new Map(metrics.read(experiment, name, { points: mostPoints }).map(({ step, value }) => [step, value])),
      ]),
  );
  const steps = [...new Set([...columns.values()].flatMap((column) => [...column.keys()]))].sort((a, b) => a - b);
  const share = (layer: number, what: string): (number | null)[] => {
    const column = columns.get(`${stage}/ternary/${String(layer)}/${what}`);
    return steps.map((step) => column?.get(step) ?? null);
  };
  const layers: TernaryWeights['layers'] = [];
  for (let layer = 0; columns.has(`${stage}/ternary/${String(layer)}/zero`); layer++)
    layers.push({
      negative: share(layer, 'negative'),
      zero: share(layer, 'zero'),
      positive: share(layer, 'positive'),
      flipRate: share(layer, 'flip-rate'),
    });
  return { steps, layers };
}
