/** Lines of a file of any size with their place in it. */
import { TritsmithError } from '../../contract/errors.ts';
import type { TextEncoding } from '../../contract/table-reading.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import { asUtf8 } from './text-encoding.ts';

const blockBytes = 256 * 1024;
const longestLine = 16 * 1024 * 1024;

export interface Line {
  /** 1-based. */
  readonly number: number;
  /** Without line break; null for a line of more than 16 MB, which is not kept. */
  readonly text: string | null;
  /** Byte offset after the line break, of the file as UTF-8. */
  readonly end: number;
}

/** The file's bytes, a block at a time; each is valid until the next is asked for. */
async function* blocksOf(file: string): AsyncGenerator<Buffer> {
  const { handle, size } = await openRegularFile(file);
  try {
    const block = Buffer.alloc(readSize(blockBytes, size));
    for (let position = 0; ;) {
      const { bytesRead } = await handle.read(block, 0, block.length, position).catch((thrown: unknown) => {
        throw TritsmithError.from(thrown);
      });
      if (bytesRead === 0) break;
      position += bytesRead;
      yield block.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** The file's text as UTF-8, a block at a time; each is valid until the next is asked for. @throws TritsmithError as `readLines` */
export const utf8Blocks = (file: string, encoding: TextEncoding): AsyncGenerator<Buffer> =>
  asUtf8(blocksOf(file), encoding);

/**
 * The lines of a file. A byte order mark at byte 0 and the CR of CRLF are taken off; bytes
 * that are no text in `encoding` become U+FFFD. Memory: one block and one line.
 * @throws TritsmithError `not-found`, `not-writable` (no permission)
 */
export async function* readLines(file: string, encoding: TextEncoding = 'utf-8'): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let parts: Buffer[] = [];
  let held = 0;
  let position = 0;
  let number = 0;
  const finish = (tail: Buffer, end: number): Line => {
    const whole = parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
    const tooLong = held + tail.length > longestLine;
    parts = [];
    held = 0;
    number++;
    if (tooLong) return { number, text: null, end };
    let text = decoder.decode(whole);
    if (number === 1 && text.startsWith('\ufeff')) text = text.slice(1);
    return { number, text: text.endsWith('\r') ? text.slice(0, -1) : text, end };
  };
  for await (const block of utf8Blocks(file, encoding)) {
    let from = 0;
    for (;;) {
      const at = block.indexOf(10, from);
      if (at < 0) break;
      yield finish(block.subarray(from, at), position + at + 1);
      from = at + 1;
    }
    held += block.length - from;
    if (held <= longestLine) parts.push(Buffer.from(block.subarray(from)));
    position += block.length;
  }
  if (held > 0) yield finish(Buffer.alloc(0), position);
}
