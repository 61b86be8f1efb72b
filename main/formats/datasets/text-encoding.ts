/** Refuses files that are no text in UTF-8, and says what they seem to be and how to save them instead. */
import { TritsmithError } from '../../contract/errors.ts';

const asUtf8 = 'Save it as UTF-8 (in Excel: "CSV UTF-8"; in LibreOffice: character set "Unicode (UTF-8)").';

/** Whether text in UTF-16 begins so. */
export function isUtf16(bytes: Uint8Array): boolean {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return true;
  // Latin text in UTF-16 has a zero in every other byte.
  const zeros = [0, 0];
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0) zeros[i % 2]!++;
  return bytes.length >= 8 && Math.max(...zeros) > bytes.length * 0.3 && Math.min(...zeros) < bytes.length * 0.05;
}

/** The encoding of a text that a corpus holds, by its first bytes. What is no UTF-16 is read as UTF-8. */
export function textEncoding(bytes: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (!isUtf16(bytes)) return 'utf-8';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  const firstOfPairs = bytes.filter((byte, i) => byte === 0 && i % 2 === 0).length;
  return firstOfPairs > bytes.length * 0.15 ? 'utf-16be' : 'utf-16le';
}

const startsWith = (bytes: Uint8Array, ...start: number[]) => start.every((byte, i) => bytes[i] === byte);

/**
 * Looks at the first bytes of a file that should be a table or JSON.
 * @throws TritsmithError `unsupported` (compressed, spreadsheet, UTF-16), `bad-input` (no text)
 */
export function refuseOtherThanText(file: string, bytes: Uint8Array): void {
  if (startsWith(bytes, 0x1f, 0x8b) || startsWith(bytes, 0x28, 0xb5, 0x2f, 0xfd))
    throw new TritsmithError('unsupported', 'text.compressed', { file });
  if (startsWith(bytes, 0x50, 0x4b, 3, 4) || startsWith(bytes, 0xd0, 0xcf, 0x11, 0xe0))
    throw new TritsmithError('unsupported', 'text.spreadsheet', { file });
  if (isUtf16(bytes)) throw new TritsmithError('unsupported', 'text.utf-16', { file });
  const zero = bytes.indexOf(0);
  if (zero >= 0)
    throw new TritsmithError('bad-input', 'text.nul-byte', {
      file,
      line: bytes.subarray(0, zero).filter((byte) => byte === 10).length + 1,
    });
}

/** The message about a row with bytes that are no UTF-8. */
export const notUtf8 = `some bytes are no UTF-8 and are shown as \ufffd; the row is kept. ${asUtf8}`;
