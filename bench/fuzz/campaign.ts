/** One parser's fuzzing, seen from outside: a child feeds it, and this side ends a child that hangs and goes on behind the input. */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const mostFailures = 20;

interface Feeding {
  /** The program that feeds. */
  readonly entry: URL;
  readonly secondsPerInput: number;
}
/** The time is longer than the longest limit that a parser sets itself, on a busy machine. */
const usual: Feeding = { entry: new URL('./child.ts', import.meta.url), secondsPerInput: 120 };

export interface FuzzCounts {
  inputs: number;
  accepted: number;
  /** Refused with a TritsmithError. */
  refused: number;
  /** Refused because it reached a limit of time or memory. */
  stopped: number;
  /** Milliseconds. */
  slowest: number;
  peakBytes: number;
}

export type ChildReport =
  { begins: number; file: string } | { failed: number; problem: string; file: string } | { counts: FuzzCounts };

export interface FuzzFailure {
  readonly index: number;
  readonly problem: string;
  /** A copy of the damaged file. */
  readonly saved: string;
}

export interface FuzzResult extends FuzzCounts {
  readonly parser: string;
  readonly seed: number;
  readonly seconds: number;
  readonly failures: readonly FuzzFailure[];
}

interface ChildEnd {
  /** Where to go on; null after the last input. */
  next: number | null;
  counts: FuzzCounts;
}

const none = (): FuzzCounts => ({ inputs: 0, accepted: 0, refused: 0, stopped: 0, slowest: 0, peakBytes: 0 });

/** Runs the child from one input on until it ends, by itself or not. */
function runChild(
  args: { parser: string; seed: number; from: number; to: number; folder: string },
  fail: (index: number, problem: string, file: string) => void,
  { entry, secondsPerInput }: Feeding,
): Promise<ChildEnd> {
  const { parser, seed, from, to, folder } = args;
  const child = spawn(
    process.execPath,
    [fileURLToPath(entry), parser, String(seed), String(from), String(to), folder],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    },
  );
  let current: { begins: number; file: string } | undefined;
  let counts = none();
  let heard = performance.now();
  let hung = false;
  let rest = '';
  let words = '';
  const output = child.stdio[3] as Readable;
  output.setEncoding('utf8').on('data', (text: string) => {
    heard = performance.now();
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line) as ChildReport;
      if ('begins' in event) current = event;
      else if ('failed' in event) fail(event.failed, event.problem, event.file);
      else counts = event.counts;
    }
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-2000)));
  const watch = setInterval(() => {
    // Until the first input, it is the start of the process that takes the time.
    const limit = current === undefined ? usual.secondsPerInput : secondsPerInput;
    if (performance.now() - heard < limit * 1000) return;
    hung = true;
    child.kill('SIGKILL');
  }, 1000);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      if (code === 0) return resolve({ next: null, counts });
      if (current === undefined) return reject(new Error(`The fuzzer of ${parser} does not start: ${words}`));
      const how = hung
        ? `hung for more than ${secondsPerInput} seconds`
        : `crashed (${signal ?? `code ${String(code)}`})`;
      fail(current.begins, `${how} ${hung ? '' : words}`.trim(), current.file);
      resolve({ next: current.begins + 1, counts });
    });
  });
}

/**
 * Feeds inputs `from` to `to` of a seed to a parser. Damaged files that make it fail are copied to `failuresFolder`.
 * @throws Error when the child can't start, or the parser refuses its undamaged samples
 */
export async function fuzzParser(
  parser: string,
  seed: number,
  from: number,
  to: number,
  failuresFolder: string,
  feeding: Feeding = usual,
): Promise<FuzzResult> {
  const folder = mkdtempSync(path.join(tmpdir(), `tritsmith-fuzz-${parser.replaceAll('.', '-')}-`));
  const failures: FuzzFailure[] = [];
  const total = none();
  const started = performance.now();
  const fail = (index: number, problem: string, file: string) => {
    if (failures.length >= mostFailures) return;
    mkdirSync(failuresFolder, { recursive: true });
    const saved = path.join(failuresFolder, `${parser}-${seed}-${index}-${path.basename(file)}`);
    copyFileSync(file, saved);
    failures.push({ index, problem, saved });
  };
  try {
    for (let next: number | null = from; next !== null && next < to && failures.length < mostFailures;) {
      const end: ChildEnd = await runChild({ parser, seed, from: next, to, folder }, fail, feeding);
      for (const key of ['inputs', 'accepted', 'refused', 'stopped'] as const) total[key] += end.counts[key];
      for (const key of ['slowest', 'peakBytes'] as const) total[key] = Math.max(total[key], end.counts[key]);
      next = end.next;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { parser, seed, seconds: (performance.now() - started) / 1000, failures, ...total };
}
