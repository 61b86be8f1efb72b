/** Errors that a person can act on: what happened, why, and what to do next. They cross process borders as ids with parameters. */
import { type ErrorCode, errorCodes } from './error-codes.ts';
import {
  isMessageId,
  message,
  type Message,
  type MessageId,
  type ParamsOf,
  render,
  renderSpoken,
} from './messages/message.ts';
import { plainNames } from './messages/names.ts';

/** An error as JSON. Surfaces render `id` and `params`; the text is that of logs, and of what has no id (older versions). */
export interface SerialisedError {
  readonly code: ErrorCode;
  readonly id?: string | undefined;
  readonly params?: unknown;
  /** What happened. */
  readonly message: string;
  /** Why it happened, when known. */
  readonly cause?: string | undefined;
  /** What to do next. */
  readonly remedy?: string | undefined;
  readonly details?: string | undefined;
}

/**
 * A full disk: what was to be written, how much it needs and how much there is (bytes, as far as known), and what to do.
 * `path`: the file that could not be written.
 */
export function noSpace(
  path: string | undefined,
  { details, ...known }: { needed?: number; free?: number; reason?: string; details?: string },
): TritsmithError {
  return new TritsmithError('no-space', 'disk.full', { path, ...known }, { details });
}

/** How V8, ONNX Runtime and C++ say that an allocation failed. */
export function isAllocationFailure(text: string): boolean {
  return /bad_alloc|heap out of memory|Array buffer allocation failed|Failed to allocate memory|Cannot allocate memory|\bENOMEM\b/i.test(
    text,
  );
}

/** What only logs and reports of failures need: a stack, the output of a process. */
export interface ErrorDetails {
  readonly details?: string | undefined;
}

/**
 * The one error class of the project: a code to act on, and a message of the catalogue with its parameters. `message` (what happened), `reason` (why)
 * and `remedy` (what to do next) say it in English, for logs and stacks.
 */
export class TritsmithError<Id extends MessageId = MessageId> extends Error {
  readonly code: ErrorCode;
  readonly id: MessageId;
  readonly params: unknown;
  readonly reason: string | undefined;
  readonly remedy: string | undefined;
  readonly details: string | undefined;

  constructor(code: ErrorCode, id: Id, ...more: [...ParamsOf<Id>, more?: ErrorDetails]);
  constructor(code: ErrorCode, said: Message, more?: ErrorDetails);
  constructor(code: ErrorCode, said: MessageId | Message, ...more: unknown[]) {
    const message = typeof said === 'string' ? { id: said, params: more.shift() } : said;
    const { details } = (more[0] ?? {}) as ErrorDetails;
    const sentences = render(message);
    super(sentences.message);
    this.name = 'TritsmithError';
    this.code = code;
    this.id = message.id;
    this.params = message.params;
    this.reason = sentences.reason;
    this.remedy = sentences.remedy;
    this.details = details;
  }

  serialise(): SerialisedError {
    return {
      code: this.code,
      // Text that is in no catalogue travels as text.
      ...(this.id === 'foreign' ? {} : { id: this.id }),
      ...(this.id === 'foreign' || this.params === undefined ? {} : { params: this.params }),
      message: this.message,
      ...(this.reason === undefined ? {} : { cause: this.reason }),
      ...(this.remedy === undefined ? {} : { remedy: this.remedy }),
      ...(this.details === undefined ? {} : { details: this.details }),
    };
  }

  /** The error as it was thrown; one of a version with other messages keeps its text. */
  static deserialise({ code, id, params, message, cause, remedy, details }: SerialisedError): TritsmithError {
    const known = id !== undefined && isMessageId(id) && renderSpoken({ id, params }, plainNames) !== null;
    return new TritsmithError(code, known ? { id, params } : foreign(message, cause, remedy), { details });
  }

  /** Wraps anything thrown; operating-system errors and those of the native runtime get their plain meaning and a remedy. */
  static from(thrown: unknown): TritsmithError {
    if (thrown instanceof TritsmithError) return thrown as TritsmithError;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { code: systemCode, path } = error as { readonly code?: string; readonly path?: string };
    const reason = error.message;
    const details = error.stack ?? reason;
    if (isStudentError(error))
      return new TritsmithError(codeOf(error.code), foreign(reason, undefined, error.remedy || undefined), { details });
    if (systemCode === 'ENOSPC' || systemCode === 'EDQUOT')
      return noSpace((error as { dest?: string }).dest ?? path, { reason, details });
    if (isAllocationFailure(reason))
      return new TritsmithError('out-of-memory', 'memory.ran-out', { reason }, { details });
    if (systemCode === 'EACCES' || systemCode === 'EPERM' || systemCode === 'EROFS')
      return new TritsmithError('not-writable', 'file.not-allowed', { path, reason }, { details });
    if (systemCode === 'ENOENT') return new TritsmithError('not-found', 'file.missing', { path, reason }, { details });
    return new TritsmithError('internal', foreign(reason), { details });
  }
}

/** Text that is in no catalogue. */
function foreign(text: string, reason?: string, remedy?: string): Message {
  return message('foreign', { message: text, reason, remedy });
}

/** The native runtime has an error class of its own, which this room may not import. */
function isStudentError(error: Error): error is Error & { code: string; remedy: string } {
  const { code, remedy } = error as { code?: unknown; remedy?: unknown };
  return error.name === 'StudentError' && typeof code === 'string' && typeof remedy === 'string';
}

function codeOf(code: string): ErrorCode {
  return errorCodes.find((known) => known === code) ?? 'damaged';
}
