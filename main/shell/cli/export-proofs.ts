/** The proofs of exported files in words, for `show` and at the end of `export`. */
import type { ExportedFile } from '../../contract/results.ts';
import { bytes } from './quantities.ts';

/** One paragraph a file: what it is, what was tried and found, what was not tried, restrictions. */
export function exportProofs(files: readonly ExportedFile[]): string {
  return files
    .map(({ path, type, embedding, bodyBytes, fileBytes, checks = [], untried = [], notes = [] }) =>
      [
        `${path}: ${type}, embedding ${embedding ?? 'f16'}; linear layers ${bytes(bodyBytes)}, whole file ${bytes(fileBytes)}`,
        ...checks.map(({ passed, text }) => `  ${passed ? 'proven' : 'FAILED'}: ${text}`),
        ...untried.map(({ program, reason }) => `  not tried in ${program}: ${reason}`),
        ...notes.map((text) => `  note: ${text}`),
      ].join('\n'),
    )
    .map((text) => `${text}\n`)
    .join('');
}
