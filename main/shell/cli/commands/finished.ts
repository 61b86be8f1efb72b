import { TritsmithError } from '../../../contract/errors.ts';
import type { ExperimentRecord } from '../../../contract/experiments.ts';

/** Only an experiment that is done can be evaluated or exported once more. */
export function assertFinished(record: ExperimentRecord, what: string): void {
  if (record.state === 'done') return;
  throw new TritsmithError('bad-input', 'cli.unfinished', { id: record.id, state: record.state, what });
}
