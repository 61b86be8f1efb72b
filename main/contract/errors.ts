/** Errors that a person can act on: what happened, why, and what to do next. They cross process borders whole. */

export const errorCodes = [
  'bad-input',
  'unsupported',
  'not-found',
  'no-space',
  'not-writable',
  'out-of-memory',
  'locked',
  'stopped',
  'worker-died',
  'damaged',
  /** A server cannot be reached, or will not answer now. */
  'unreachable',
  /** A server wants another token, or a licence accepted. */
  'forbidden',
  /** The person has not given this file to the interface. */
  'not-granted',
  'internal',
] as const;
export type ErrorCode = (typeof errorCodes)[number];

export interface SerialisedError {
  readonly code: ErrorCode;
  /** What happened. */
  readonly message: string;
  /** Why it happened, when known. */
  readonly cause?: string;
  /** What to do next. */
  readonly remedy?: string;
  readonly details?: string;
}

/** Bytes in words. */
function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${String(Math.ceil(bytes / 1e3))} kB`;
}

/**
 * A full disk: what was to be written, how much it needs and how much there is (bytes, as far as known), and what to do.
 * `path`: the file that could not be written.
 */
export function noSpace(
  path: string | undefined,
  known: { needed?: number; free?: number; reason?: string; details?: string },
): TritsmithError {
  const { needed, free, reason, details } = known;
  const figures = [
    ...(needed === undefined ? [] : [`It needs ${megabytes(needed)}`]),
    ...(free === undefined ? [] : [`${megabytes(free)} are free on that disk`]),
  ].join('; ');
  const missing =
    needed === undefined || free === undefined || free >= needed ? null : Math.max(1e6, (needed - free) * 1.1);
  const cause = figures === '' ? reason : `${figures}.`;
  return new TritsmithError(
    'no-space',
    path === undefined ? 'The disk is full.' : `The disk is full: ${path} could not be written.`,
    {
      ...(cause === undefined ? {} : { reason: cause }),
      remedy: `Free ${missing === null ? 'some space' : `at least ${megabytes(missing)}`} on that disk (delete experiments or exports that are no longer needed), then resume, or do it again; a run goes on from its last checkpoint.`,
      ...(details === undefined ? {} : { details }),
    },
  );
}

/** What to do about memory where nothing more is known. */
const memoryRemedy =
  'End other programs and resume, or start it again with a lower "Tokens at once" (microBatchTokens) or with "Recompute activations" (recomputeActivations) on.';

/** How V8, ONNX Runtime and C++ say that an allocation failed. */
export function isAllocationFailure(text: string): boolean {
  return /bad_alloc|heap out of memory|Array buffer allocation failed|Failed to allocate memory|Cannot allocate memory|\bENOMEM\b/i.test(
    text,
  );
}

/** The one error class of the project. `message` says what happened, `reason` why, `remedy` what to do next. */
export class TritsmithError extends Error {
  readonly code: ErrorCode;
  readonly reason: string | undefined;
  readonly remedy: string | undefined;
  readonly details: string | undefined;

  constructor(code: ErrorCode, message: string, more: { reason?: string; remedy?: string; details?: string } = {}) {
    super(message);
    this.name = 'TritsmithError';
    this.code = code;
    this.reason = more.reason;
    this.remedy = more.remedy;
    this.details = more.details;
  }

  serialise(): SerialisedError {
    return {
      code: this.code,
      message: this.message,
      ...(this.reason === undefined ? {} : { cause: this.reason }),
      ...(this.remedy === undefined ? {} : { remedy: this.remedy }),
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }

  static deserialise(error: SerialisedError): TritsmithError {
    return new TritsmithError(error.code, error.message, {
      ...(error.cause === undefined ? {} : { reason: error.cause }),
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }

  /** Wraps anything thrown; operating-system errors get their plain meaning and a remedy. */
  static from(thrown: unknown): TritsmithError {
    if (thrown instanceof TritsmithError) return thrown;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { code: systemCode, path } = error as NodeJS.ErrnoException;
    const details = error.stack ?? error.message;
    if (systemCode === 'ENOSPC' || systemCode === 'EDQUOT')
      return noSpace((error as { dest?: string }).dest ?? path, {
        reason: error.message,
        details,
      });
    if (isAllocationFailure(error.message))
      return new TritsmithError('out-of-memory', 'The memory ran out.', {
        reason: error.message,
        remedy: memoryRemedy,
        details,
      });
    if (systemCode === 'EACCES' || systemCode === 'EPERM' || systemCode === 'EROFS')
      return new TritsmithError('not-writable', `${path ?? 'A file or folder'} may not be read or written.`, {
        ...(path === undefined ? { reason: error.message } : {}),
        remedy: 'Check its permissions, or choose another folder.',
        details,
      });
    if (systemCode === 'ENOENT')
      return new TritsmithError(
        'not-found',
        path === undefined ? 'A file or folder is missing.' : `There is no ${path}.`,
        {
          ...(path === undefined ? { reason: error.message } : {}),
          remedy: 'Check the path.',
          details,
        },
      );
    return new TritsmithError('internal', error.message, { details });
  }
}
