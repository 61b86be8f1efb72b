/**
 * The names of metrics. A job tells each by its plain name (`loss/ce`); of each ternary layer it tells shares as
 * `ternary/<layer>/<share>`; the workbench keeps a curve of both as `<stage>/<name>`.
 */
import type { JobKind } from './jobs.ts';

/** What a training stage tells about a step. */
export const stepMetrics = [
  'loss',
  'loss/ce',
  'loss/kd',
  'loss/relation',
  'loss/hidden',
  'rounding-error',
  'rounding-error-absmean',
  'window-error',
  'accuracy',
  'choice',
  'kept-step',
  'flip-rate',
  'moved-fraction',
  'zero-fraction',
  'masked-fraction',
  'mask-flip-rate',
  'gradient-norm',
  'learning-rate',
  'ternary-rate',
  'gamma',
  'gamma/gradient-ratio',
  'tokens-per-second',
  // Between the ranks of a run on several machines, in a step. The root's: what it sends (as all do), and for how long it exchanges and waits.
  'exchanged-bytes',
  'exchange-seconds',
  'waiting-seconds',
] as const;
export type StepMetric = (typeof stepMetrics)[number];

/** Of one ternary layer: shares of -1, 0 and +1, which add up to 1, and of the weights that changed their value in a step. */
export const layerShares = ['negative', 'zero', 'positive', 'flip-rate'] as const;
export type LayerShare = (typeof layerShares)[number];

const layerPattern = new RegExp(`^ternary/(\\d+)/(${layerShares.join('|')})$`);

export type LayerMetric = `ternary/${number}/${LayerShare}`;
/** What a training stage tells at a step, by name. */
export type MetricValues = Partial<Record<StepMetric, number>> & Record<LayerMetric, number>;

export function isStepMetric(name: string): name is StepMetric {
  return (stepMetrics as readonly string[]).includes(name);
}

/** `layer` from 0. */
export function layerMetric(layer: number, share: LayerShare): LayerMetric {
  return `ternary/${layer}/${share}`;
}

/** Null for a metric that is not one layer's. */
export function parseLayerMetric(name: string): { layer: number; share: LayerShare } | null {
  const found = layerPattern.exec(name);
  return found === null ? null : { layer: Number(found[1]), share: found[2] as LayerShare };
}

/**
 * The names of curves with those of all layers as one: `distil/ternary/<0 to 27>/negative|zero|positive|flip-rate` stands for 112 of them.
 */
export function foldedCurveNames(names: readonly string[]): string[] {
  const folded: string[] = [];
  const layersOf = new Map<string, { layers: Set<number>; shares: Set<LayerShare>; at: number }>();
  for (const name of names) {
    const { stage, metric } = parseCurveName(name);
    const found = parseLayerMetric(metric);
    if (found === null) {
      folded.push(name);
      continue;
    }
    const group = layersOf.get(stage) ?? { layers: new Set(), shares: new Set(), at: folded.push('') - 1 };
    group.layers.add(found.layer);
    group.shares.add(found.share);
    layersOf.set(stage, group);
  }
  for (const [stage, { layers, shares, at }] of layersOf)
    folded[at] =
      `${stage}/ternary/<${Math.min(...layers)} to ${Math.max(...layers)}>/${layerShares.filter((share) => shares.has(share)).join('|')}`;
  return folded;
}

export function curveName(stage: JobKind, metric: string): string {
  return `${stage}/${metric}`;
}

/** The stage and the metric of a curve; the metric is empty where `name` has no stage. */
export function parseCurveName(name: string): { stage: string; metric: string } {
  const end = name.indexOf('/');
  return end < 0 ? { stage: name, metric: '' } : { stage: name.slice(0, end), metric: name.slice(end + 1) };
}
