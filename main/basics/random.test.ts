import { expect, it } from 'vitest';
import { Random } from './random.ts';

it('is xoshiro128** seeded by SplitMix32: the sequence of their definition in whole numbers of any size', () => {
  const random = new Random(9);
  // Made by a few lines of Python that give 11520, 0, 5927040, 70819200 for the reference state 1, 2, 3, 4.
  const expected = [2248133290, 695335239, 2228697831, 875516949, 907963659, 4158784494];
  expect(expected.map(() => random.next())).toEqual(expected);
});

it('is spread evenly', () => {
  const random = new Random(5);
  const counts = new Array<number>(10).fill(0);
  for (let index = 0; index < 10_000; index += 1) counts[random.below(10)]! += 1;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120);
});
