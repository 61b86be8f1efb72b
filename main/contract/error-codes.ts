/** What a program can tell errors apart by. */
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
