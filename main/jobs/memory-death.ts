/** Whether a worker died for want of memory, and which setting would have spared it. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { isAllocationFailure, TritsmithError } from '../contract/errors.ts';
import type { JobSpec } from '../contract/jobs.ts';
import type { WorkerExit } from './spawn-port.ts';

/** Watches one worker's memory where the system tells of it (Linux). */
export class MemoryWatch {
  readonly #oomKillsBefore = oomKills();
  readonly #timer: NodeJS.Timeout;
  /** Most resident memory so far, bytes; null where unknown. */
  peak: number | null = null;

  constructor(pid: number | undefined) {
    const read = (): void => {
      this.peak = (pid === undefined ? null : peakBytes(pid)) ?? this.peak;
    };
    read();
    // Often: a worker can take all memory within a second.
    this.#timer = setInterval(read, 100);
    this.#timer.unref();
  }

  /** The system has ended some process for want of memory since the watch began. */
  get systemRanOut(): boolean {
    const now = oomKills();
    return now !== null && this.#oomKillsBefore !== null && now > this.#oomKillsBefore;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** The error of a worker that memory ended; null when something else did, or nobody can tell. */
export function memoryDeath(spec: JobSpec, exit: WorkerExit, tail: string, memory: MemoryWatch): TritsmithError | null {
  const bySystem = exit.signal === 'SIGKILL' && memory.systemRanOut;
  if (!bySystem && !isAllocationFailure(tail)) return null;
  const held = memory.peak === null ? '' : `; the worker held up to ${gigabytes(memory.peak)}`;
  return outOfMemory(
    spec,
    bySystem
      ? `The system ended it to free memory${held} of this machine's ${gigabytes(totalmem())}.`
      : `An allocation failed${held}.`,
    tail,
  );
}

/** Says what happened, and which of the recipe's settings to lower for this job. */
export function outOfMemory(spec: JobSpec, reason: string, details: string): TritsmithError {
  return new TritsmithError('out-of-memory', `The memory ran out during ${spec.kind}.`, {
    reason,
    remedy: `End other programs and resume; what the last checkpoint holds is kept. Or start it again with ${smaller(spec)}.`,
    ...(details.trim() === '' ? {} : { details: details.trim() }),
  });
}

function smaller({ kind, recipe }: JobSpec): string {
  const stage =
    kind === 'finetune' || kind === 'pretrain' || kind === 'distil'
      ? recipe[kind]
      : kind === 'baseline'
        ? recipe.distil
        : null;
  if (stage === null)
    return `a shorter "Longest prompt and answer" (task.maxLength, now ${String(recipe.task.maxLength)}) or a smaller model`;
  const { microBatchTokens } = stage.optimiser;
  const tokens =
    microBatchTokens > 64
      ? `"Tokens at once" (microBatchTokens) at ${String(Math.max(64, Math.floor(microBatchTokens / 2)))} instead of ${String(microBatchTokens)}`
      : `a shorter "Longest prompt and answer" (task.maxLength, now ${String(recipe.task.maxLength)})`;
  return recipe.recomputeActivations
    ? `${tokens}, or a smaller model`
    : `${tokens}, or with "Recompute activations" (recomputeActivations) on`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

function oomKills(): number | null {
  return readNumber('/proc/vmstat', /^oom_kill (\d+)$/m);
}

function peakBytes(pid: number): number | null {
  const kilobytes = readNumber(`/proc/${String(pid)}/status`, /^VmHWM:\s+(\d+) kB$/m);
  return kilobytes === null ? null : kilobytes * 1024;
}

function readNumber(path: string, pattern: RegExp): number | null {
  try {
    const found = pattern.exec(readFileSync(path, 'utf8'))?.[1];
    return found === undefined ? null : Number(found);
  } catch {
    return null;
  }
}
