/** What is in a corpus, before anything is trained on it. */
import { z } from 'zod';
import { localPath } from './local-path.ts';
import { told } from './messages/told-schema.ts';
import { textEncoding } from './table-reading.ts';

export const corpusCheckRequest = z.object({
  corpus: localPath(),
  /** Model whose tokenizer counts the tokens; without it they are not counted. */
  teacher: localPath().optional(),
});
export type CorpusCheckRequest = z.infer<typeof corpusCheckRequest>;

export const corpusReport = z.object({
  path: z.string(),
  /** Files that are read, by kind; bytes as they lie on disk. */
  kinds: z.array(
    z.object({
      kind: z.enum(['text', 'rows', 'html', 'pdf', 'docx', 'parquet']),
      files: z.number(),
      bytes: z.number(),
    }),
  ),
  /** Files of other kinds, by what their names end with. */
  otherFiles: z.array(z.object({ ending: z.string(), files: z.number(), examples: z.array(z.string()) })),
  /** Files of a kind that is read which could not be read, or not to their end: how many, and the first few. */
  failedFiles: z.number(),
  failures: z.array(told),
  /** Rows of JSONL and Parquet files that hold no text. */
  skippedRows: z.number(),
  documents: z.number(),
  characters: z.number(),
  /** About how many the teacher's tokenizer makes of them. */
  tokens: z.number().nullable(),
  /** False where the corpus is larger than what is looked at; all numbers but those of files are of its first part. */
  complete: z.boolean(),
  /** Documents that occur earlier, word for word. */
  repeatedDocuments: z.number(),
  /** Paragraphs of at least 40 characters, how many of them occur earlier, and how many characters those have. */
  paragraphs: z.number(),
  repeatedParagraphs: z.number(),
  repeatedCharacters: z.number(),
  /** Lines that occur again and again, most frequent first. */
  boilerplate: z.array(z.object({ line: z.string(), times: z.number() })),
  /** Files whose text is in another encoding than UTF-8, by encoding: how many, and the first few. */
  encodings: z.array(z.object({ encoding: textEncoding, files: z.number(), examples: z.array(z.string()) })),
  /** Documents with bytes that their file's encoding does not have. */
  undecodable: z.number(),
  /** How the first document of some files begins, as the model will read it. */
  preview: z.array(z.object({ file: z.string(), text: z.string() })),
});
export type CorpusReport = z.infer<typeof corpusReport>;
