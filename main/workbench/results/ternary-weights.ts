/** Shares of -1, 0 and +1 and the flip rate of each layer, gathered from the curves that a training stage left. */
import type { JobKind } from '../../contract/jobs.ts';
import {
  curveName,
  layerMetric,
  type LayerShare,
  parseCurveName,
  parseLayerMetric,
} from '../../contract/metric-names.ts';
import type { TernaryWeights } from '../../contract/views.ts';
import type { MetricStore } from '../workspace/metric-store.ts';

/** A stage reports its layers about 120 times, so that thinning to this many points drops none. */
const mostPoints = 1000;

export function readTernaryWeights(metrics: MetricStore, experiment: string, stage: JobKind): TernaryWeights {
  const names = metrics
    .list(experiment)
    .map(({ name }) => name)
    .filter((name) => parseCurveName(name).stage === stage && parseLayerMetric(parseCurveName(name).metric) !== null);
  const columns = new Map(
    names.map((name) => [
      name,
      new Map(metrics.read(experiment, name, { points: mostPoints }).map(({ step, value }) => [step, value])),
    ]),
  );
  const steps = [...new Set([...columns.values()].flatMap((column) => [...column.keys()]))].sort((a, b) => a - b);
  const columnOf = (layer: number, share: LayerShare): Map<number, number | null> | undefined =>
    columns.get(curveName(stage, layerMetric(layer, share)));
  const sharesOf = (layer: number, share: LayerShare): (number | null)[] => {
    const column = columnOf(layer, share);
    return steps.map((step) => column?.get(step) ?? null);
  };
  const layers: TernaryWeights['layers'] = [];
  for (let layer = 0; columnOf(layer, 'zero') !== undefined; layer++)
    layers.push({
      negative: sharesOf(layer, 'negative'),
      zero: sharesOf(layer, 'zero'),
      positive: sharesOf(layer, 'positive'),
      flipRate: sharesOf(layer, 'flip-rate'),
    });
  return { steps, layers };
}
