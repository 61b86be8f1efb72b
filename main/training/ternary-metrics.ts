/** What a run reports of its ternary weights: totals every step, shares of each layer and of the weights that moved now and then. Reads the model, never writes it. */
import { layerMetric, type MetricValues } from '../contract/metric-names.ts';
import type { Network } from '../models/network.ts';
import type { TernaryCounts } from '../models/ternary-weights.ts';

/** Reports of each layer over a whole stage; a map of layers over time needs no more. */
const mostReports = 120;

export class TernaryMetrics {
  readonly #network: Network;
  readonly #every: number;
  readonly #totalSteps: number;
  readonly #flips: number[];
  #steps = 0;

  constructor(network: Network, totalSteps: number) {
    this.#network = network;
    this.#totalSteps = totalSteps;
    this.#every = Math.max(1, Math.ceil(totalSteps / mostReports));
    this.#flips = Array.from({ length: network.configuration.layers }, () => 0);
  }

  /**
   * @param layers what `Network.refreshTernary` found after the step
   * @returns `flip-rate` and `zero-fraction` of all weights, with an n:m rule what its mask did, and, when due, `moved-fraction` (those that are not what they were when the stage began) and
   * the shares of each layer; its flip rate is averaged over the steps since the last report. A resumed run begins its average anew.
   */
  after(step: number, layers: readonly TernaryCounts[]): MetricValues {
    if (layers.length === 0) return {};
    const sum = (key: keyof TernaryCounts): number => layers.reduce((all, counts) => all + counts[key], 0);
    const values: MetricValues = {
      'flip-rate': sum('flips') / sum('total'),
      'zero-fraction': sum('zeros') / sum('total'),
      ...(this.#network.configuration.quantisation.weights.sparsity && {
        'masked-fraction': sum('masked') / sum('total'),
        'mask-flip-rate': sum('maskFlips') / sum('total'),
      }),
    };
    layers.forEach(({ flips }, layer) => (this.#flips[layer]! += flips));
    this.#steps += 1;
    if (step % this.#every !== 0 && step !== this.#totalSteps) return values;
    values['moved-fraction'] = this.#network.countMoved() / sum('total');
    layers.forEach(({ zeros, positives, total }, layer) => {
      values[layerMetric(layer, 'negative')] = (total - zeros - positives) / total;
      values[layerMetric(layer, 'zero')] = zeros / total;
      values[layerMetric(layer, 'positive')] = positives / total;
      values[layerMetric(layer, 'flip-rate')] = this.#flips[layer]! / total / this.#steps;
    });
    this.#flips.fill(0);
    this.#steps = 0;
    return values;
  }
}
