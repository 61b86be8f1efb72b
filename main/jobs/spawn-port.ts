/** How a worker process comes to life; tests put their own workers here. */
import type { Message } from '../contract/messages/message.ts';

export interface WorkerExit {
  /** Exit code, or null when a signal ended the process or it never started. */
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be started, when that is what happened. */
  readonly startError?: string;
  /** Of a run with ranks: what is known of the one that was lost, or of why they could not be started. */
  readonly ranks?: Message;
}

export interface WorkerProcess {
  readonly pid: number | undefined;
  /** Sends a message of JSON values (any number); does nothing when the process is gone. */
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, after the last message has been delivered. */
  onExit(listener: (exit: WorkerExit) => void): void;
  /** Ends the process at once, whatever it is doing. */
  kill(): void;
  /** The end of what the process wrote to standard output and standard error, for crash reports. */
  outputTail(): string;
}

export interface SpawnPort {
  spawn(): WorkerProcess;
}
