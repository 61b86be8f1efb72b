/** What every command is given: where to write, how to reach workers, and what the process will exit with. */
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { onRequestToEnd } from '../requests-to-end.ts';
import { asCalled } from './called.ts';

/** Documented in `tritsmith --help`. */
export const exitCodes = { done: 0, failed: 1, badInput: 2, locked: 3, paused: 4, cancelled: 5 } as const;

export interface Shell {
  readonly port: SpawnPort;
  /** Standard output: results only. */
  out(text: string): void;
  /** Standard error: progress, notices, errors. */
  err(text: string): void;
  /** Standard error is a terminal, so a line may be redrawn. */
  readonly terminal: boolean;
  columns(): number;
  /** Calls `listener` on Ctrl-C and on a polite request to end, until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
  exitCode: number;
}

export interface CommonOptions {
  readonly workspace?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export function processShell(port: SpawnPort): Shell {
  return {
    port,
    out: (text) => {
      process.stdout.write(text);
    },
    err: (text) => {
      process.stderr.write(asCalled(text));
    },
    terminal: process.stderr.isTTY,
    columns: () => (process.stderr.isTTY ? process.stderr.columns : 100),
    onInterrupt: onRequestToEnd,
    exitCode: exitCodes.done,
  };
}
