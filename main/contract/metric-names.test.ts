import { describe, expect, it } from 'vitest';
import { jobKind } from './jobs.ts';
import {
  curveName,
  foldedCurveNames,
  isStepMetric,
  layerMetric,
  layerShares,
  parseCurveName,
  parseLayerMetric,
  stepMetrics,
} from './metric-names.ts';

describe('names of metrics', () => {
  it('are read as they were made, and as experiments of earlier versions hold them', () => {
    for (const stage of jobKind.options)
      for (const metric of [...stepMetrics, ...layerShares.map((share) => layerMetric(11, share))])
        expect(parseCurveName(curveName(stage, metric))).toEqual({ stage, metric });
    for (const share of layerShares) expect(parseLayerMetric(layerMetric(3, share))).toEqual({ layer: 3, share });
    expect(parseCurveName('distil/ternary/0/flip-rate')).toEqual({ stage: 'distil', metric: 'ternary/0/flip-rate' });
    expect(parseLayerMetric('ternary/0/flip-rate')).toEqual({ layer: 0, share: 'flip-rate' });
  });

  it('of all layers fold into one, in their place', () => {
    const names = [0, 1, 2].flatMap((layer) => layerShares.map((share) => `distil/${layerMetric(layer, share)}`));
    expect(
      foldedCurveNames(['finetune/loss', 'distil/loss/ce', ...names, 'distil/gamma', 'baseline/ternary/0/zero']),
    ).toEqual([
      'finetune/loss',
      'distil/loss/ce',
      'distil/ternary/<0 to 2>/negative|zero|positive|flip-rate',
      'distil/gamma',
      'baseline/ternary/<0 to 0>/zero',
    ]);
  });

  it('tell the metrics of layers from those of a step', () => {
    for (const metric of stepMetrics) {
      expect(parseLayerMetric(metric)).toBeNull();
      expect(isStepMetric(metric)).toBe(true);
    }
    for (const other of ['ternary/x/zero', 'ternary/1/other', 'ternary/1/zero/more', 'loss/other'])
      expect([parseLayerMetric(other), isStepMetric(other)]).toEqual([null, false]);
  });
});
