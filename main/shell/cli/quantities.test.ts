import { expect, it } from 'vitest';
import { percent } from '../../contract/quantities.ts';
import { bytes, count, duration, elapsed, parameters, timeLeft } from './quantities.ts';

it('numbers read as people write them', () => {
  expect([0, 999, 1000, 999_499, 999_500, 1.234e9].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '999 kB',
    '1.00 MB',
    '1.23 GB',
  ]);
  expect([1, 812.3456, 12_345.6].map(count)).toEqual(['1', '812.3', '12,346']);
  expect([656_512, 596e6, 8.19e9].map(parameters)).toEqual(['657 k', '596 M', '8.19 B']);
  expect([0.4, 59.4, 59.6, 3540, 3599, 90_000, 1e6].map(duration)).toEqual([
    '0 s',
    '59 s',
    '1 min',
    '59 min',
    '1 h 0 min',
    '25 h 0 min',
    '12 days',
  ]);
  expect([null, { low: 61, high: 200 }, { low: 60, high: 61 }].map(timeLeft)).toEqual([
    'measuring',
    '1 min - 3 min left',
    '1 min left',
  ]);
  expect([59, 65.4, 599.4, 700].map(elapsed)).toEqual(['59 s', '1 min 5 s', '9 min 59 s', '12 min']);
  expect(percent(0.8555)).toBe('85.5 %');
});
