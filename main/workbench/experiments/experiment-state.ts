/** Which state may follow which; anything else is a mistake in the program and is refused. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentState } from '../../contract/experiments.ts';

const following: Record<ExperimentState, readonly ExperimentState[]> = {
  created: ['running', 'cancelled'],
  running: ['paused', 'interrupted', 'failed', 'cancelled', 'done'],
  paused: ['running', 'cancelled'],
  interrupted: ['running', 'cancelled'],
  failed: ['running', 'cancelled'],
  cancelled: ['running'],
  // Evaluating or exporting once more.
  done: ['running'],
};

export function assertTransition(from: ExperimentState, to: ExperimentState): void {
  if (following[from].includes(to)) return;
  throw new TritsmithError('internal', 'experiment.transition', { from, to });
}

/** Whether `resume` has something to do. */
export function isResumable(state: ExperimentState): boolean {
  return state !== 'done' && state !== 'running';
}
