import { availableParallelism } from 'node:os';

/** Threads that leave one core to the interface, for each of `sharers` processes that compute at the same time. */
export function politeThreads(sharers = 1): number {
  return Math.max(1, Math.floor((availableParallelism() - 1) / sharers));
}
