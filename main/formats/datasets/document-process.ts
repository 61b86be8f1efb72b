/** Takes the text out of HTML, PDF and Word files. Runs in a process of its own (document-reader.ts): such files can be made to take all time and memory. */
import { gunzipSync } from 'node:zlib';
import { strFromU8, unzipSync } from 'fflate';
import { convert } from 'html-to-text';
import { Parser } from 'htmlparser2';
import { extractText, getDocumentProxy } from 'unpdf';
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import { readBoundedFile } from '../../basics/bounded-json.ts';
import { serveIsolated } from '../isolation/serve-isolated.ts';
import type { CorpusFile } from './corpus-files.ts';
import { encodingOf } from './text-encoding.ts';

export interface DocumentReply {
  readonly text?: string;
  readonly error?: SerialisedError;
}

/** Of a file, and of what is packed in it. */
export const largestDocument = 256 * 1024 * 1024;
const mostCharacters = 64 * 1024 * 1024;
const deepest = 1000;
/** Stands where html-to-text left something out: no character of any text (Unicode's noncharacters). */
const cutMark = '\ufdd0';

/** In UTF-16 where its bytes are so, else in the encoding that the page declares, else in the one that its bytes look like. */
function htmlText(bytes: Uint8Array): string {
  const { encoding } = encodingOf(bytes);
  const declared = /<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]{1,40})/i.exec(
    Buffer.from(bytes.subarray(0, 4096)).toString('latin1'),
  )?.[1];
  let decoder = new TextDecoder(encoding);
  try {
    if (!encoding.startsWith('utf-16') && declared !== undefined) decoder = new TextDecoder(declared);
  } catch {
    // A name that is no encoding says nothing.
  }
  const html = decoder.decode(bytes);
  // It would be cut without a word.
  if (html.length > mostCharacters) throw new Error(`it has more than ${mostCharacters} characters`);
  const text = convert(html, {
    wordwrap: false,
    limits: { maxInputLength: mostCharacters, maxDepth: deepest, ellipsis: cutMark },
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      { selector: 'img', format: 'skip' },
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
      { selector: 'table', format: 'dataTable', options: { uppercaseHeaderCells: false, maxColumnWidth: 1000 } },
    ],
  });
  if (text.includes(cutMark)) throw new Error(`its elements are nested more than ${deepest} deep`);
  return text;
}

async function pdfText(bytes: Uint8Array): Promise<string> {
  const document = await getDocumentProxy(bytes, { useSystemFonts: false, verbosity: 0 });
  const { text } = await extractText(document, { mergePages: false });
  return text
    .map((page) => page.trim())
    .filter((page) => page !== '')
    .join('\n\n');
}

/** What Word shows in another way to programs that do not know a drawing: the same text once more. */
const secondTime = 'mc:Fallback';

/** The paragraphs of a Word file's main part, a blank line between them; without headers, footers, notes and comments. */
function wordText(bytes: Uint8Array): string {
  const isMain = (name: string): boolean => /^word\/document\d*\.xml$/.test(name);
  const parts = unzipSync(bytes, {
    filter: ({ name, originalSize }) => isMain(name) && originalSize <= largestDocument,
  });
  const main = Object.values(parts)[0];
  if (main === undefined) throw new Error('it is no Word document, or a far too large one');
  const paragraphs: string[] = [];
  let paragraph = '';
  let [reading, runs, repeated] = [false, 0, 0];
  const parser = new Parser(
    {
      onopentag(name) {
        if (name === secondTime) repeated += 1;
        if (name === 'w:t') reading = true;
        if (name === 'w:r') runs += 1;
        // Elsewhere a tab is a setting of the paragraph.
        if (name === 'w:tab' && runs > 0) paragraph += '\t';
        if (name === 'w:br' || name === 'w:cr') paragraph += '\n';
      },
      ontext(text) {
        if (reading && repeated === 0) paragraph += text;
      },
      onclosetag(name) {
        if (name === secondTime) repeated -= 1;
        if (name === 'w:t') reading = false;
        if (name === 'w:r') runs -= 1;
        if (name !== 'w:p' || paragraph.trim() === '') return;
        paragraphs.push(paragraph);
        paragraph = '';
      },
    },
    { xmlMode: true, decodeEntities: true },
  );
  parser.end(strFromU8(main));
  return paragraphs.join('\n\n');
}

async function textOf({ path, kind, gzip }: CorpusFile): Promise<string> {
  const stored = await readBoundedFile(path, largestDocument);
  const bytes = gzip ? gunzipSync(stored, { maxOutputLength: largestDocument }) : stored;
  if (kind === 'html') return htmlText(bytes);
  if (kind === 'pdf') return pdfText(new Uint8Array(bytes));
  return wordText(bytes);
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
