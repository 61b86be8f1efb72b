/** Whether a worker died for want of memory, and which setting would have spared it. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { isAllocationFailure, TritsmithError } from '../contract/errors.ts';
import type { JobSpec } from '../contract/jobs.ts';
import type { MessageParams } from '../contract/messages/message.ts';
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

type OutOfMemory = MessageParams<'memory.ran-out-in-job'>;

/** The error of a worker that memory ended; null when something else did, or nobody can tell. */
export function memoryDeath(spec: JobSpec, exit: WorkerExit, tail: string, memory: MemoryWatch): TritsmithError | null {
  const bySystem = exit.signal === 'SIGKILL' && memory.systemRanOut;
  if (!bySystem && !isAllocationFailure(tail)) return null;
  const held = memory.peak;
  return outOfMemory(spec, bySystem ? { by: 'system', held, machine: totalmem() } : { by: 'allocation', held }, tail);
}

/** Says what happened, and which of the recipe's settings to lower for this job. */
export function outOfMemory(spec: JobSpec, how: OutOfMemory['how'], details: string): TritsmithError {
  return new TritsmithError(
    'out-of-memory',
    'memory.ran-out-in-job',
    { job: spec.kind, how, smaller: smaller(spec) },
    { details: details.trim() || undefined },
  );
}

/** What the settings that memory depends on are now. */
function smaller({ kind, recipe }: JobSpec): OutOfMemory['smaller'] {
  const stage =
    kind === 'finetune' || kind === 'reconstruct' || kind === 'pretrain' || kind === 'distil'
      ? recipe[kind]
      : kind === 'baseline'
        ? recipe.distil
        : null;
  return {
    microBatchTokens: stage?.optimiser.microBatchTokens ?? null,
    maxLength: recipe.task.maxLength,
    recomputes: recipe.recomputeActivations,
    byteMoments: stage?.optimiser.moments === '8-bit',
  };
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
