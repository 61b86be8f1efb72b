/** Curves and log of an experiment once more beside its artifacts, append only, so that they outlive a damaged database. */
import { closeSync, existsSync, fstatSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { type LogLine, logLine } from '../contract/views.ts';
import { eventsPath } from './folder.ts';

/** One value of a curve. */
export interface MetricSample {
  /** The curve's, see metric-names.ts. */
  readonly name: string;
  readonly step: number;
  readonly value: number;
}

const chunkBytes = 1 << 20;
const batchSamples = 20_000;

const line = z.union([
  z.object({ name: z.string(), points: z.array(z.tuple([z.number(), z.number().nullable()])) }),
  logLine,
]);

export class EventFile {
  readonly #file: number;

  constructor(folder: string) {
    this.#file = openSync(eventsPath(folder), 'a+', 0o600);
    // A line that a crash or a full disk cut in the middle must not swallow the next one.
    const { size } = fstatSync(this.#file);
    const last = Buffer.alloc(1);
    if (size > 0 && readSync(this.#file, last, 0, 1, size - 1) === 1 && last[0] !== 10) writeSync(this.#file, '\n');
  }

  append(samples: readonly MetricSample[], logs: readonly LogLine[]): void {
    const curves = new Map<string, [number, number | null][]>();
    for (const { name, step, value } of samples) {
      const points = curves.get(name) ?? [];
      points.push([step, Number.isFinite(value) ? value : null]);
      curves.set(name, points);
    }
    const lines: unknown[] = [...[...curves].map(([name, points]) => ({ name, points })), ...logs];
    if (lines.length > 0) writeFileSync(this.#file, lines.map((each) => `${JSON.stringify(each)}\n`).join(''));
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Reads the file of the experiment in `folder` in pieces; lines that cannot be read are passed over. Memory does not grow with the file. */
export function replayEvents(folder: string, store: (samples: MetricSample[], logs: LogLine[]) => void): void {
  const path = eventsPath(folder);
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let rest = Buffer.alloc(0);
    let samples: MetricSample[] = [];
    let logs: LogLine[] = [];
    for (;;) {
      const count = readSync(file, chunk, 0, chunkBytes, null);
      const bytes = Buffer.concat([rest, chunk.subarray(0, count)]);
      const end = bytes.lastIndexOf(10) + 1;
      for (const text of bytes.toString('utf8', 0, end).split('\n')) {
        const found = readLine(text);
        if (found === null) continue;
        if ('points' in found)
          for (const [step, value] of found.points) samples.push({ name: found.name, step, value: value ?? NaN });
        else logs.push(found);
      }
      rest = Buffer.from(bytes.subarray(end));
      if (count === 0 || samples.length + logs.length >= batchSamples) {
        store(samples, logs);
        samples = [];
        logs = [];
      }
      if (count === 0) return;
      // We write no line that long, so this is not one of ours.
      if (rest.length > 16 * chunkBytes) rest = Buffer.alloc(0);
    }
  } finally {
    closeSync(file);
  }
}

function readLine(text: string): z.infer<typeof line> | null {
  if (text === '') return null;
  try {
    return line.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
