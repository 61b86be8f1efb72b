/** Files of running text: what is no text, and what could not be read. */
import type { Sentences } from '../sentences.ts';

const readKinds =
  'Text is read from .txt, .md, .html, .pdf, .docx, .jsonl and .parquet files, and from .gz of these (but not of .parquet).';

export const corpora = {
  'corpus.no-files': ({ corpus }: { corpus: string }): Sentences => ({
    message: `${corpus} holds no text.`,
    reason: `None of its files is of a kind that is read. ${readKinds}`,
    remedy: 'Choose a file of such a kind, or a folder of them.',
  }),
  'corpus.other-kind': ({ file, what }: { file: string; what: string }): Sentences => ({
    message: `${file} is no corpus: it is ${what}.`,
    reason: readKinds,
    remedy: 'Save its text as one of these, and give the file the name that fits.',
  }),
  'corpus.gzip-damaged': ({ file }: { file: string }): Sentences => ({
    message: `${file} can't be unpacked.`,
    reason: 'Its compressed data is damaged or ends too early.',
    remedy: 'Copy or download the file again.',
  }),
  'corpus.document-damaged': ({ file, problem }: { file: string; problem: string }): Sentences => ({
    message: `${file} can't be read.`,
    reason: problem,
    remedy: 'Open it in the program that made it and save it again, without a password, or save its text as .txt.',
  }),
  'corpus.document-beyond-limits': ({ file, limit }: { file: string; limit: string }): Sentences => ({
    message: `${file} can't be read: ${limit}.`,
    reason: 'The file is damaged, or far more is packed in it than its size shows.',
    remedy: 'Save its text as .txt.',
  }),
  'corpus.document-empty': ({ file }: { file: string }): Sentences => ({
    message: `${file} holds no text.`,
    reason: 'If you see text in it, it is probably a picture of text (a scan).',
    remedy: 'Recognise the text with another program first, or leave the file out.',
  }),
};
