/** Share done and time left of an experiment, from what this session has measured and from the planned costs of the rest. */
import type { TimeRange } from '../../contract/experiments.ts';

interface Sample {
  readonly done: number;
  time: number;
}
interface Stage {
  readonly weight: number;
  /** Share done, 0 to 1; never falls. */
  fraction: number;
  done: number;
  total: number;
  finished: boolean;
  /** First progress of this session: units done before it say nothing about its speed. */
  first: Sample | null;
  recent: Sample[];
}

export interface Estimate {
  /** Weighted share of all stages, 0 to 1; never falls. */
  readonly fraction: number;
  readonly stage: TimeRange;
  readonly whole: TimeRange;
}

/** Units whose pace is known before a range narrows to the measured scatter. */
const knownUnits = 20;
/** Progress events that make up the current pace. */
const windowSize = 200;
/** What a stage that has only been planned may deviate by. */
const planLow = 0.6;
const planHigh = 1.7;

export class EtaEstimator {
  readonly #stages: Stage[];

  /** `plan`: relative cost of each stage in order; `finished` ones were done in an earlier session. */
  constructor(plan: readonly { weight: number; finished: boolean }[]) {
    this.#stages = plan.map(({ weight, finished }) => ({
      weight,
      fraction: finished ? 1 : 0,
      done: 0,
      total: 0,
      finished,
      first: null,
      recent: [],
    }));
  }

  /** `done` of `total` units of a stage at `now` (milliseconds of a clock that never jumps). Units done before the first call of a session never count as pace. */
  progress(position: number, done: number, total: number, now: number): void {
    const stage = this.#stages[position];
    if (stage === undefined) return;
    stage.first ??= { done, time: now };
    stage.done = done;
    stage.total = total;
    if (total > 0) stage.fraction = Math.max(stage.fraction, Math.min(1, done / total));
    stage.recent.push({ done, time: now });
    if (stage.recent.length > windowSize) stage.recent.shift();
  }

  /** Time in which nothing can have been done (the worker was stopped, the machine slept) is no pace. Said before the next progress. */
  skip(position: number, milliseconds: number): void {
    const stage = this.#stages[position];
    if (stage === undefined) return;
    const samples = new Set([...(stage.first === null ? [] : [stage.first]), ...stage.recent]);
    for (const sample of samples) sample.time += milliseconds;
  }

  finish(position: number): void {
    const stage = this.#stages[position];
    if (stage === undefined) return;
    stage.finished = true;
    stage.fraction = 1;
  }

  /** The estimate while stage `position` runs. */
  estimate(position: number): Estimate {
    const stage = this.#stages[position];
    const weights = this.#stages.reduce((sum, { weight }) => sum + weight, 0);
    const fraction =
      weights === 0 ? 0 : this.#stages.reduce((sum, each) => sum + each.weight * each.fraction, 0) / weights;
    const own = stage === undefined ? null : timeLeft(stage);
    const perWeight = this.#secondsPerWeight();
    const ahead = this.#stages.slice(position + 1).reduce((sum, each) => sum + (each.finished ? 0 : each.weight), 0);
    const whole =
      own === null || (ahead > 0 && perWeight === null)
        ? null
        : {
            low: own.low + ahead * (perWeight ?? 0) * planLow,
            high: own.high + ahead * (perWeight ?? 0) * planHigh,
          };
    return { fraction, stage: own, whole };
  }

  /** Seconds that one unit of weight took, over all stages measured in this session. */
  #secondsPerWeight(): number | null {
    let seconds = 0;
    let weight = 0;
    for (const stage of this.#stages) {
      const last = stage.recent.at(-1);
      if (stage.first === null || last === undefined || stage.total <= 0 || last.done <= stage.first.done) continue;
      seconds += (last.time - stage.first.time) / 1000;
      weight += (stage.weight * (last.done - stage.first.done)) / stage.total;
    }
    return weight > 0 ? seconds / weight : null;
  }
}

/** From the recent pace; the range is wide at the first unit and comes down to +-10 % at KNOWN_UNITS. */
function timeLeft(stage: Stage): TimeRange {
  if (stage.finished) return { low: 0, high: 0 };
  const oldest = stage.recent[0];
  const newest = stage.recent.at(-1);
  if (oldest === undefined || newest === undefined || stage.first === null || newest.done <= oldest.done) return null;
  const perUnit = (newest.time - oldest.time) / 1000 / (newest.done - oldest.done);
  const left = Math.max(0, stage.total - stage.done) * perUnit;
  const known = Math.min(1, (newest.done - stage.first.done) / knownUnits);
  return { low: left * (0.5 + 0.4 * known), high: left * (2 - 0.9 * known) };
}
