/** What the system and the files of others say: disks, memory, permissions, JSON. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

export const system = {
  /** Text that is not ours: of the system, of the native runtime, of a package, of another version. */
  foreign: (said: { message: string; reason?: string | undefined; remedy?: string | undefined }): Sentences => said,

  /** `needed`, `free`: bytes, as far as they are known. */
  'disk.full': ({
    path,
    needed,
    free,
    reason,
  }: {
    path?: string | undefined;
    needed?: number | undefined;
    free?: number | undefined;
    reason?: string | undefined;
  }): Sentences => {
    const figures = [
      ...(needed === undefined ? [] : [`It needs ${bytesInWords(needed)}`]),
      ...(free === undefined ? [] : [`${bytesInWords(free)} are free on that disk`]),
    ].join('; ');
    const missing =
      needed === undefined || free === undefined || free >= needed ? null : Math.max(1e6, (needed - free) * 1.1);
    return {
      message: path === undefined ? 'The disk is full.' : `The disk is full: ${path} could not be written.`,
      reason: figures === '' ? reason : `${figures}.`,
      remedy: `Free ${missing === null ? 'some space' : `at least ${bytesInWords(missing)}`} on that disk (delete experiments or exports that are no longer needed), then resume, or do it again; a run goes on from its last checkpoint.`,
    };
  },
  'memory.ran-out': ({ reason }: { reason: string }, names: Names): Sentences => ({
    message: 'The memory ran out.',
    reason,
    remedy: `End other programs and resume, or start it again with a lower ${names.setting('optimiser.microBatchTokens')} or with ${names.setting('recomputeActivations')} switched on.`,
  }),
  'file.not-allowed': ({ path, reason }: { path?: string | undefined; reason: string }): Sentences => ({
    message: `${path ?? 'A file or folder'} may not be read or written.`,
    reason: path === undefined ? reason : undefined,
    remedy: 'Check its permissions, or choose another folder.',
  }),
  'file.missing': ({ path, reason }: { path?: string | undefined; reason?: string | undefined }): Sentences => ({
    message: path === undefined ? 'A file or folder is missing.' : `There is no ${path}.`,
    reason: path === undefined ? reason : undefined,
    remedy: 'Check the path.',
  }),
  'file.not-a-file': ({ file }: { file: string }): Sentences => ({
    message: `${file} is not a file.`,
    remedy: 'Choose a file, not a folder or device.',
  }),
  'file.shrank': ({ path }: { path: string }): Sentences => ({
    message: `${path} became shorter while it was read.`,
    remedy: 'Let no other program write to the file, and try again.',
  }),
  'path.nul': (): Sentences => ({
    message: 'A path with a NUL character was given.',
    remedy: 'Correct the path.',
  }),

  'json.too-deep': ({ what, maxDepth }: { what: string; maxDepth: number }): Sentences => ({
    message: `${what} can't be read.`,
    reason: `Its JSON is nested deeper than ${maxDepth} levels.`,
    remedy: 'Download or create the file again.',
  }),
  'json.invalid': ({ what, problem }: { what: string; problem: string }): Sentences => ({
    message: `${what} can't be read.`,
    reason: `It is not valid JSON: ${problem}`,
    remedy: 'Download or create the file again.',
  }),
  'json.too-large': ({ file, size, maxBytes }: { file: string; size: number; maxBytes: number }): Sentences => ({
    message: `${file} is too large.`,
    reason: `It has ${bytesInWords(size)}; at most ${bytesInWords(maxBytes)} are expected of such a file.`,
    remedy: 'Check that it is the right file.',
  }),
  'json.no-object': ({ file }: { file: string }): Sentences => ({
    message: `${file} can't be read.`,
    reason: 'A JSON object was expected.',
    remedy: 'Check that it is the right file, or download or create it again.',
  }),
  'json.damaged': ({ path, problem }: { path: string; problem: string }): Sentences => ({
    message: `${path} cannot be read.`,
    reason: problem,
    remedy: 'Mend the file, or remove it.',
  }),
};
