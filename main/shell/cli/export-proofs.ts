/** The proofs of exported files in words, for `show` and at the end of `export`. */
import { wordsOf } from '../../contract/messages/told.ts';
import type { ExportedFile } from '../../contract/results.ts';
import { bytes } from './quantities.ts';

/** One paragraph a file: what it is, what was tried and found, what was not tried, restrictions. */
export function exportProofs(files: readonly ExportedFile[]): string {
  return files
    .map(({ path, type, embedding, bodyBytes, fileBytes, checks = [], untried = [], notes = [] }) =>
      [
        `${path}: ${type}, embedding ${embedding ?? 'f16'}; linear layers ${bytes(bodyBytes)}, whole file ${bytes(fileBytes)}`,
        ...checks.map((check) => `  ${check.passed ? 'proven' : 'FAILED'}: ${wordsOf(check)}`),
        ...untried.map(({ reason, ...of }) => `  not tried in ${of.program}: ${wordsOf({ ...of, text: reason })}`),
        ...notes.map((note) => `  note: ${wordsOf(note)}`),
      ].join('\n'),
    )
    .map((text) => `${text}\n`)
    .join('');
}
