import { beforeEach, describe, expect, it } from 'vitest';
import { type ExperimentEvent, experimentRecord, type StageRecord } from '../../contract/experiments.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { ProgressDisplay } from './progress-display.ts';

let said: string;
let now: number;
beforeEach(() => {
  said = '';
  now = 0;
});

function display(terminal: boolean, columns = 200): ProgressDisplay {
  const shell = {
    port: forkPort(),
    out: () => undefined,
    err: (text: string) => (said += text),
    terminal,
    columns: () => columns,
    onInterrupt: () => () => undefined,
    exitCode: 0,
  };
  return new ProgressDisplay(shell, () => now);
}

function changed(state: StageRecord['state']): ExperimentEvent {
  return {
    type: 'changed',
    experiment: experimentRecord.parse({
      id: 'e-1',
      name: 'e',
      state: 'running',
      recipe: sampleRecipe('e'),
      seed: 1,
      created: 0,
      started: 0,
      ended: null,
      machine: { platform: '', architecture: '', processor: '', cores: 2, memoryBytes: 1 },
      versions: {},
      error: null,
      artifacts: [],
      stages: [
        {
          position: 0,
          kind: 'distil',
          weight: 1,
          state,
          done: 100,
          total: 100,
          unit: 'steps',
          started: 0,
          ended: null,
          seconds: 61,
          error: null,
          result: null,
        },
      ],
    }),
  };
}
function progress(done: number, total = 100): ExperimentEvent[] {
  return [
    { type: 'job', stage: 'distil', event: { type: 'progress', done, total, unit: 'steps', resumed: 0 } },
    { type: 'estimate', fraction: done / 200, stage: { low: 60, high: 120 }, whole: { low: 120, high: 240 } },
  ];
}

describe('live progress', () => {
  it('in a terminal is one redrawn line with bar, percent, time range, loss and speed', () => {
    const shown = display(true);
    shown.show(changed('running'));
    shown.show({
      type: 'job',
      stage: 'distil',
      event: { type: 'metrics', step: 1, values: { loss: 0.51234, 'tokens-per-second': 8123.4 } },
    });
    for (const event of progress(50)) shown.show(event);
    expect(said).toBe(
      '\r\u001b[2Kdistil           [##########..........]  50 %  50/100 steps  1 min - 2 min left  loss 0.5123  8123 tok/s  all: 25 %, 2 min - 4 min left',
    );
    said = '';
    shown.show(changed('done'));
    expect(said).toBe('\r\u001b[2Kdistil           done (1 min 1 s, 100 of 100 steps)\n');
  });

  it('never moves backwards, whatever is reported', () => {
    const shown = display(true);
    shown.show(changed('running'));
    for (const done of [10, 40, 20, 0, 30, 60]) {
      now += 1000;
      for (const event of progress(done)) shown.show(event);
    }
    const shares = [...said.matchAll(/\] +(\d+) %.*all: (\d+) %/g)].map((match) => [
      Number(match[1]),
      Number(match[2]),
    ]);
    expect(shares).toEqual([
      [10, 5],
      [40, 20],
      [40, 20],
      [40, 20],
      [40, 20],
      [60, 30],
    ]);
  });

  it('fits the line into a narrow terminal, since a wrapped line cannot be redrawn', () => {
    const shown = display(true, 40);
    shown.show(changed('running'));
    for (const event of progress(50)) shown.show(event);
    expect(said.replace('\r\u001b[2K', '')).toHaveLength(39);
  });

  it('elsewhere is a plain line every five seconds', () => {
    const shown = display(false);
    shown.show(changed('running'));
    for (now = 0; now < 20_000; now += 100) for (const event of progress(now / 200)) shown.show(event);
    expect(said.split('\n').filter((line) => line.includes('['))).toHaveLength(4);
    expect(said).not.toContain('\u001b');
  });
});
