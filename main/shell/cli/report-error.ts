/** Errors as a person needs them: what happened, why, what to do; the rest on request. */
import type { ErrorCode } from '../../contract/error-codes.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { exitCodes, type Shell } from './shell.ts';

const codes: Record<ErrorCode, number> = {
  'bad-input': exitCodes.badInput,
  unsupported: exitCodes.badInput,
  'not-found': exitCodes.badInput,
  'not-writable': exitCodes.badInput,
  locked: exitCodes.locked,
  stopped: exitCodes.cancelled,
  'no-space': exitCodes.failed,
  'out-of-memory': exitCodes.failed,
  'worker-died': exitCodes.failed,
  damaged: exitCodes.failed,
  unreachable: exitCodes.failed,
  forbidden: exitCodes.badInput,
  'not-granted': exitCodes.badInput,
  internal: exitCodes.failed,
};

export function reportError(shell: Shell, thrown: unknown, options: { json?: boolean; verbose?: boolean }): void {
  const error = TritsmithError.from(thrown);
  shell.exitCode = codes[error.code];
  if (options.json === true) shell.out(`${JSON.stringify({ error: error.serialise() })}\n`);
  const details = error.details !== undefined && (options.verbose === true || error.code === 'internal');
  const lines = [
    `Error: ${error.message}`,
    ...(error.reason === undefined ? [] : [`Why: ${error.reason}`]),
    ...(error.remedy === undefined ? [] : [`What to do: ${error.remedy}`]),
    ...(details
      ? [`Details:\n${error.details}`]
      : error.details === undefined
        ? []
        : ['(--verbose shows the details)']),
  ];
  shell.err(`${lines.join('\n')}\n`);
}
