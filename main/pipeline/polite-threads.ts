import { availableParallelism } from 'node:os';

/** Threads that leave one core to the interface. */
export function politeThreads(): number {
  return Math.max(1, availableParallelism() - 1);
}
