/** Shows a running experiment on standard error: one redrawn line in a terminal, a plain line every few seconds elsewhere. */
import type { ExperimentEvent, StageRecord, TimeRange } from '../../contract/experiments.ts';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { percent } from '../../contract/quantities.ts';
import { count, elapsed, timeLeft } from './quantities.ts';
import type { Shell } from './shell.ts';

const barWidth = 20;
const redrawMilliseconds = 100;
const plainMilliseconds = 5000;

interface Running {
  readonly kind: JobKind;
  share: number;
  done: number;
  total: number;
  unit: string;
  loss: number | null;
  tokensPerSecond: number | null;
  left: TimeRange;
}

export class ProgressDisplay {
  readonly #shell: Shell;
  readonly #now: () => number;
  #running: Running | null = null;
  #whole: { fraction: number; left: TimeRange } = { fraction: 0, left: null };
  #states = new Map<number, StageRecord['state']>();
  #lastDrawn = -Infinity;
  #lineOpen = false;

  constructor(shell: Shell, now: () => number = () => performance.now()) {
    this.#shell = shell;
    this.#now = now;
  }

  show(event: ExperimentEvent): void {
    if (event.type === 'changed') for (const stage of event.experiment.stages) this.#stageChanged(stage);
    else if (event.type === 'job') this.#jobSaid(event.stage, event.event);
    else if (event.type === 'estimate') {
      this.#whole = { fraction: Math.max(this.#whole.fraction, event.fraction), left: event.whole };
      if (this.#running !== null) this.#running.left = event.stage;
      this.#draw();
    } else if (event.type === 'silent')
      this.line(
        event.minutes === 0
          ? `${event.stage} is heard again.`
          : `Nothing heard of ${event.stage} for ${count(Math.round(event.minutes))} minutes. If it hangs, Ctrl-C twice ends it, and "tritsmith resume" goes on from the last checkpoint.`,
      );
    else if (event.type === 'gap')
      this.line(
        `Note: ${event.stage} was stopped for ${elapsed(event.seconds)}; the time left is counted without that.`,
      );
    else this.line(`Note: ${event.text}`);
  }

  /** Writes a line of its own, clear of the redrawn one. */
  line(text: string): void {
    this.#clear();
    this.#shell.err(`${text}\n`);
  }

  end(): void {
    this.#clear();
  }

  #stageChanged(stage: StageRecord): void {
    if (this.#states.get(stage.position) === stage.state) return;
    const before = this.#states.get(stage.position);
    this.#states.set(stage.position, stage.state);
    if (stage.state === 'running') {
      const { kind } = stage;
      this.#running = { kind, share: 0, done: 0, total: 0, unit: '', loss: null, tokensPerSecond: null, left: null };
      this.#lastDrawn = -Infinity;
      if (!this.#shell.terminal) this.line(`${kind}: started`);
    } else if (before === 'running') {
      const amount = stage.total > 0 ? `, ${count(stage.done)} of ${count(stage.total)} ${stage.unit}` : '';
      this.line(`${stage.kind.padEnd(16)} ${stage.state} (${elapsed(stage.seconds)}${amount})`);
      this.#running = null;
    }
  }

  #jobSaid(kind: JobKind, event: JobEvent): void {
    const running = this.#running;
    if (running?.kind !== kind) return;
    if (event.type === 'progress') {
      running.done = Math.max(running.done, event.done);
      running.total = event.total;
      running.unit = event.unit;
      if (event.total > 0) running.share = Math.max(running.share, Math.min(1, event.done / event.total));
    } else if (event.type === 'metrics') {
      running.loss = event.values['loss'] ?? running.loss;
      running.tokensPerSecond = event.values['tokens-per-second'] ?? running.tokensPerSecond;
    } else if (event.type === 'log')
      this.line(`${event.level === 'warning' ? 'Warning' : 'Note'} (${kind}): ${event.text}`);
  }

  #draw(): void {
    const running = this.#running;
    const pause = this.#shell.terminal ? redrawMilliseconds : plainMilliseconds;
    if (running === null || this.#now() - this.#lastDrawn < pause) return;
    this.#lastDrawn = this.#now();
    const filled = Math.floor(running.share * barWidth);
    const parts = [
      `${running.kind.padEnd(16)} [${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${percent(running.share, 0).padStart(5)}`,
      `${count(running.done)}/${count(running.total)} ${running.unit}`,
      timeLeft(running.left),
      ...(running.loss === null ? [] : [`loss ${running.loss.toFixed(4)}`]),
      ...(running.tokensPerSecond === null ? [] : [`${count(Math.round(running.tokensPerSecond))} tok/s`]),
      `all: ${percent(this.#whole.fraction, 0)}${this.#whole.left === null ? '' : `, ${timeLeft(this.#whole.left)}`}`,
    ];
    const text = parts.join('  ');
    if (!this.#shell.terminal) {
      this.#shell.err(`${text}\n`);
      return;
    }
    // Wider than the terminal, the line would wrap and could not be redrawn.
    this.#shell.err(`\r\u001b[2K${text.slice(0, Math.max(20, this.#shell.columns() - 1))}`);
    this.#lineOpen = true;
  }

  #clear(): void {
    if (this.#lineOpen) this.#shell.err('\r\u001b[2K');
    this.#lineOpen = false;
  }
}
