import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EtaEstimator } from './eta-estimator.ts';

describe('time left', () => {
  it('is unknown before a unit has been measured', () => {
    const eta = new EtaEstimator([{ weight: 1, finished: false }]);
    eta.progress(0, 0, 100, 0);
    expect(eta.estimate(0)).toEqual({ fraction: 0, stage: null, whole: null });
  });

  it('is a wide range at first and +-10 % once 20 units are known', () => {
    const eta = new EtaEstimator([{ weight: 1, finished: false }]);
    for (let step = 0; step <= 2; step++) eta.progress(0, step, 100, step * 1000);
    expect(eta.estimate(0).stage!.low).toBeCloseTo(98 * 0.54);
    expect(eta.estimate(0).stage!.high).toBeCloseTo(98 * 1.91);
    for (let step = 3; step <= 20; step++) eta.progress(0, step, 100, step * 1000);
    expect(eta.estimate(0).stage!.low).toBeCloseTo(80 * 0.9);
    expect(eta.estimate(0).stage!.high).toBeCloseTo(80 * 1.1);
  });

  it('counts the steps of this session only: a resume at 900 of 1000 is not nearly done in no time', () => {
    const eta = new EtaEstimator([{ weight: 1, finished: false }]);
    eta.progress(0, 900, 1000, 0);
    expect(eta.estimate(0).stage).toBeNull();
    for (let step = 901; step <= 920; step++) eta.progress(0, step, 1000, (step - 900) * 5400);
    const { low, high } = eta.estimate(0).stage!;
    expect((low + high) / 2).toBeCloseTo(80 * 5.4);
    expect(eta.estimate(0).fraction).toBeCloseTo(0.92);
  });

  it('weighs the stages ahead by their planned cost at the measured pace', () => {
    const eta = new EtaEstimator([
      { weight: 1, finished: true },
      { weight: 2, finished: false },
      { weight: 4, finished: false },
    ]);
    for (let step = 0; step <= 50; step++) eta.progress(1, step, 100, step * 100);
    // 5 s for half of weight 2: 5 s per unit of weight, 5 s left here, about 20 s ahead.
    const { fraction, whole } = eta.estimate(1);
    expect(fraction).toBeCloseTo((1 + 1) / 7);
    expect(whole!.low).toBeCloseTo(5 * 0.9 + 20 * 0.6);
    expect(whole!.high).toBeCloseTo(5 * 1.1 + 20 * 1.7);
  });

  it('never shows less done than before, whatever is reported', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 500 })),
        ),
        (reports) => {
          const eta = new EtaEstimator([1, 3, 2].map((weight) => ({ weight, finished: false })));
          let before = 0;
          let now = 0;
          for (const [position, done, total] of reports) {
            eta.progress(position, done, total, (now += 10));
            const { fraction } = eta.estimate(position);
            expect(fraction).toBeGreaterThanOrEqual(before);
            expect(fraction).toBeLessThanOrEqual(1 + 1e-12);
            before = fraction;
          }
        },
      ),
    );
  });
});
