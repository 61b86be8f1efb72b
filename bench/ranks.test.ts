import { describe, expect, it } from 'vitest';
import { asRanks } from '../main/training/fixtures/ranks-in-memory.ts';
import { rankBounds, sliceBounds } from '../main/training/shards.ts';
import {
  bytesSent,
  exchangeSeconds,
  float32Wire,
  lastWorth,
  overlapSeconds,
  rankNumbers,
  roundedWire,
  type StepCosts,
  stepSeconds,
  tokensWorthTwo,
} from './ranks/model.ts';

/** A model of a billion parameters, computed by a core in a thousand seconds. */
const stretches = [1e9];
const costs: StepCosts = { stretches, gradients: 1000, addition: 0, optimiser: 0, codes: 0 };
const line = { bitsPerSecond: 1e9, roundTrip: 0 };
const one = (ranks: number) => ({ ranks, shards: Math.max(8, ranks), cores: 1 });

describe('the forecast of a step that ranks share', () => {
  it.each([2, 4, 8])('sends what %i ranks send', async (ranks) => {
    const length = 64_000;
    for (const wire of [float32Wire, roundedWire]) {
      const sent = await asRanks(ranks, async (collective) => {
        const bounds = rankBounds(sliceBounds(length, 8), { count: 8, collective });
        const values = new Float32Array(length);
        await collective.reduceSlices(values, bounds, wire === roundedWire);
        const own = values.fill(0).subarray(bounds[collective.rank], bounds[collective.rank + 1]);
        await (wire === roundedWire
          ? collective.addSlices(own.slice(), values, bounds)
          : collective.gatherSlices(own, values, bounds));
        return collective.sent();
      });
      expect(sent).toEqual(Array.from({ length: ranks }, () => bytesSent(length, ranks, wire)));
    }
  });

  it('has more machines help only while a step computes for longer than it exchanges', () => {
    // 8 bytes of each parameter over 1 Gb/s are 64 seconds, whatever the number of machines, and half of that for two.
    expect(exchangeSeconds(stretches, 2, line)).toBeCloseTo(32);
    expect(stepSeconds(costs, one(2), line)).toBeCloseTo(500 + 32);
    expect(stepSeconds(costs, one(2), line, roundedWire)).toBeCloseTo(500 + 16);
    const last = (gradients: number): number =>
      lastWorth((ranks) => stepSeconds({ ...costs, gradients }, one(ranks), line));
    expect(last(63)).toBe(1);
    expect(last(300)).toBe(16);
    expect(last(1e6)).toBe(rankNumbers.at(-1));
    // A second machine takes half of the computing away: 64 seconds of it are as long as its exchange.
    expect(tokensWorthTwo(costs, 1000, 1, line)).toBeCloseTo(64);
    expect(tokensWorthTwo(costs, 1000, 1, line, roundedWire)).toBeCloseTo(32);
  });

  it('spares by an overlap the exchange of all gradients but the first ones, or as much as the last backward pass lasts', () => {
    const eight = one(8);
    const cut = { ...costs, stretches: [2e8, 4e8, 4e8] };
    expect(overlapSeconds(cut, eight, line)).toBeCloseTo((exchangeSeconds([1e9], 8, line) / 2) * 0.8);
    expect(overlapSeconds({ ...cut, gradients: 60 }, eight, line)).toBeCloseTo((((2 / 3) * 60) / 8) * (2 / 3));
    expect(overlapSeconds(costs, eight, line)).toBe(0);
    expect(overlapSeconds(cut, one(1), line)).toBe(0);
    expect(stepSeconds(cut, eight, line)).toBeCloseTo(
      stepSeconds(costs, eight, line) - overlapSeconds(cut, eight, line),
    );
  });
});
