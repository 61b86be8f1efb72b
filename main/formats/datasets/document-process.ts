/** Takes the text out of HTML, PDF and Word files. Runs in a process of its own (document-reader.ts): such files can be made to take all time and memory. */
import { gunzipSync } from 'node:zlib';
import { convert } from 'html-to-text';
import mammoth from 'mammoth';
import { extractText, getDocumentProxy } from 'unpdf';
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import { readBoundedFile } from '../../basics/bounded-json.ts';
import { serveIsolated } from '../isolation/serve-isolated.ts';
import type { CorpusFile } from './corpus-files.ts';
import { textEncoding } from './text-encoding.ts';

export interface DocumentReply {
  readonly text?: string;
  readonly error?: SerialisedError;
}

/** Of a file, and of what is packed in it. */
export const largestDocument = 256 * 1024 * 1024;
const mostCharacters = 64 * 1024 * 1024;

/** The encoding that a page declares, where its bytes do not show it. */
function htmlText(bytes: Uint8Array): string {
  const found = textEncoding(bytes);
  const declared = /<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]{1,40})/i.exec(
    Buffer.from(bytes.subarray(0, 4096)).toString('latin1'),
  )?.[1];
  let decoder = new TextDecoder(found);
  try {
    if (found === 'utf-8' && declared !== undefined) decoder = new TextDecoder(declared);
  } catch {
    // A name that is no encoding says nothing.
  }
  return convert(decoder.decode(bytes), {
    wordwrap: false,
    limits: { maxInputLength: mostCharacters },
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      { selector: 'img', format: 'skip' },
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
      { selector: 'table', format: 'dataTable', options: { uppercaseHeaderCells: false, maxColumnWidth: 1000 } },
    ],
  });
}

async function pdfText(bytes: Uint8Array): Promise<string> {
  const document = await getDocumentProxy(bytes, { useSystemFonts: false, verbosity: 0 });
  const { text } = await extractText(document, { mergePages: false });
  return text
    .map((page) => page.trim())
    .filter((page) => page !== '')
    .join('\n\n');
}

async function textOf({ path, kind, gzip }: CorpusFile): Promise<string> {
  const stored = await readBoundedFile(path, largestDocument);
  const bytes = gzip ? gunzipSync(stored, { maxOutputLength: largestDocument }) : stored;
  if (kind === 'html') return htmlText(bytes);
  if (kind === 'pdf') return pdfText(new Uint8Array(bytes));
  return (await mammoth.extractRawText({ buffer: Buffer.from(bytes) })).value;
}

async function answer(file: CorpusFile): Promise<DocumentReply> {
  try {
    const text = await textOf(file);
    if (text.length > mostCharacters) throw new Error(`its text has ${text.length} characters`);
    return { text };
  } catch (thrown) {
    const known = thrown instanceof TritsmithError || (thrown as NodeJS.ErrnoException).syscall !== undefined;
    const problem = String((thrown as Error).message).slice(0, 300);
    const error = known
      ? TritsmithError.from(thrown)
      : new TritsmithError('damaged', 'corpus.document-damaged', { file: file.path, problem });
    return { error: error.serialise() };
  }
}

serveIsolated((request) => answer(request as CorpusFile));
