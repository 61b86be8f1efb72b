import { describe, expect, it } from 'vitest';
import { axisLabels, date, duration, timeRange } from './format.ts';

describe('a duration', () => {
  it('never counts 60 seconds beside a minute', () => {
    expect(duration(59.4)).toBe('59 s');
    expect(duration(59.6)).toBe('1 min 00 s');
    expect(duration(119.7)).toBe('2 min 00 s');
    expect(duration(87)).toBe('1 min 27 s');
    expect(duration(599.6)).toBe('10 min');
  });
});

describe('an estimated time', () => {
  const range = (low: number, high: number): string => timeRange({ low, high });
  it('is rounded outwards, with one unit where both ends have it', () => {
    expect(range(162, 432)).toBe('2 to 8 min');
    expect(range(11, 28)).toBe('10 to 30 s');
    expect(range(14, 120)).toBe('10 s to 2 min');
    expect(range(3000, 9000)).toBe('50 min to 2.5 h');
    expect(range(7300, 10_700)).toBe('2 to 3 h');
    expect(range(3 * 86_400, 3.6 * 86_400)).toBe('3 to 4 days');
  });
  it('says so where there is one end only, or none', () => {
    expect(range(3, 30)).toBe('up to 30 s');
    expect(range(180, 180)).toBe('about 3 min');
    expect(range(1, 4)).toBe('a few seconds');
    expect(timeRange(null)).toBe('time left not known yet');
  });
});

describe('a date', () => {
  it('has its year only where it is another one', () => {
    const day = new Date(2026, 10, 22, 9, 37).getTime();
    expect(date(day, new Date(2026, 11, 1).getTime())).not.toContain('2026');
    expect(date(day, new Date(2027, 0, 1).getTime())).toContain('2026');
  });
});

describe('the labels of an axis', () => {
  it('are written alike and tell neighbours apart', () => {
    expect(axisLabels([0, 2.5, 5])).toEqual(['0', '2.5', '5.0']);
    expect(axisLabels([0, 0.0005, 0.001])).toEqual(['0', '0.0005', '0.0010']);
    expect(axisLabels([0, 2e-5, 4e-5])).toEqual(['0', '2e-5', '4e-5']);
    expect(axisLabels([0.00005, 0.0001, 0.00015])).toEqual(['5e-5', '1.0e-4', '1.5e-4']);
    expect(axisLabels([5000, 10_000])).toEqual(['5,000', '10,000']);
  });
  it('of shares are percentages', () => {
    expect(axisLabels([0.31, 0.3125, 0.315], true)).toEqual(['31.00 %', '31.25 %', '31.50 %']);
    expect(axisLabels([0, 0.2, null], true)).toEqual(['0 %', '20 %', '']);
  });
});
