/** Reads a corpus as Stage 2 would, and reports what it would find: files, text, repetitions, and what is left out. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { CorpusCheckRequest, CorpusReport } from '../../contract/corpus.ts';
import { tellError } from '../../contract/messages/told.ts';
import type { TextEncoding } from '../../contract/table-reading.ts';
import { corpusFiles, type CorpusKind, readCorpus } from '../../formats/datasets/index.ts';
import { modelTokenizer } from '../../models/open-model.ts';

/** Text that is looked at, in characters: time and memory end there. */
const mostCharacters = 64 * 1024 * 1024;
/** Of these the tokens are counted; the rest is taken to be alike. */
const tokenisedCharacters = 1024 * 1024;
/** Different paragraphs, and different lines, that are remembered. */
const mostRemembered = 1_000_000;
const shortestParagraph = 40;
const shortestLine = 15;
/** A line that occurs so often is one that no reader misses. */
const boilerplateTimes = 5;
const shownEncoded = 10;
const [shownFailures, shownLines, shownDocuments, shownCharacters] = [5, 10, 6, 600];

/** A number that two texts share only by chance of one in 2^48. */
const fingerprint = (text: string): number => createHash('sha1').update(text).digest().readUIntBE(0, 6);

/** Counts texts that were there before; new ones are no longer remembered beyond a million. */
class Repetitions {
  readonly #seen = new Set<number>();
  all = 0;
  repeated = 0;
  repeatedCharacters = 0;

  add(text: string): void {
    this.all += 1;
    const key = fingerprint(text);
    if (this.#seen.has(key)) {
      this.repeated += 1;
      this.repeatedCharacters += text.length;
    } else if (this.#seen.size < mostRemembered) this.#seen.add(key);
  }
}

class Lines {
  readonly #times = new Map<number, number>();
  readonly #frequent = new Map<number, string>();

  add(line: string): void {
    const key = fingerprint(line);
    const times = (this.#times.get(key) ?? 0) + 1;
    if (times > 1 || this.#times.size < mostRemembered) this.#times.set(key, times);
    if (times === boilerplateTimes) this.#frequent.set(key, line.slice(0, 200));
  }

  mostFrequent(): CorpusReport['boilerplate'] {
    return [...this.#frequent]
      .map(([key, line]) => ({ line, times: this.#times.get(key)! }))
      .sort((a, b) => b.times - a.times)
      .slice(0, shownLines);
  }
}

/**
 * What is wrong with files of a folder is reported, not thrown.
 * @throws TritsmithError for a corpus without any text: no such file, none of a kind that is read, a single one that can't be read
 */
export async function checkCorpus({ corpus, teacher }: CorpusCheckRequest): Promise<CorpusReport> {
  const { files, leftOut } = await corpusFiles(corpus);
  const tokenizer = teacher === undefined ? null : await modelTokenizer(teacher);
  const kinds = new Map<CorpusKind, { files: number; bytes: number }>();
  for (const file of files) {
    const of = kinds.get(file.kind) ?? { files: 0, bytes: 0 };
    kinds.set(file.kind, { files: of.files + 1, bytes: of.bytes + (await stat(file.path)).size });
  }
  const failures: CorpusReport['failures'] = [];
  const preview: { file: string; kind: CorpusKind; text: string }[] = [];
  const [whole, paragraphs, lines] = [new Repetitions(), new Repetitions(), new Lines()];
  const counts = { characters: 0, skippedRows: 0, failedFiles: 0, undecodable: 0 };
  const sampled = { characters: 0, tokens: 0 };
  let complete = true;
  const encodings = new Map<TextEncoding, { files: number; examples: string[] }>();
  const nameOf = (file: string): string => path.relative(corpus, file) || path.basename(file);
  const documents = readCorpus(corpus, {
    onEncoding: (file, encoding) => {
      const of = encodings.get(encoding) ?? { files: 0, examples: [] };
      if (of.files++ < shownEncoded) of.examples.push(nameOf(file));
      encodings.set(encoding, of);
    },
    onSkipped: () => (counts.skippedRows += 1),
    onLeftOut: (_, why) => {
      if (counts.failedFiles++ < shownFailures) failures.push(tellError(why));
    },
  });
  for await (const { text, file } of documents) {
    if (counts.characters >= mostCharacters) {
      complete = false;
      break;
    }
    counts.characters += text.length;
    if (text.includes('\ufffd')) counts.undecodable += 1;
    whole.add(text);
    for (const paragraph of text.split(/\n\s*\n/))
      if (paragraph.trim().length >= shortestParagraph) paragraphs.add(paragraph.trim());
    for (const line of text.split('\n')) if (line.trim().length >= shortestLine) lines.add(line.trim());
    if (tokenizer !== null && sampled.characters < tokenisedCharacters) {
      sampled.characters += text.length;
      sampled.tokens += tokenizer.encode(text).length + (tokenizer.eosId === null ? 0 : 1);
    }
    const name = nameOf(file.path);
    const known = preview.filter(({ kind }) => kind === file.kind).length;
    if (known < shownDocuments && !preview.some((each) => each.file === name))
      preview.push({ file: name, kind: file.kind, text: text.slice(0, shownCharacters) });
  }
  if (whole.all === 0) throw new TritsmithError('bad-input', 'corpus.no-text', { corpus });
  return {
    path: corpus,
    kinds: [...kinds].map(([kind, of]) => ({ kind, ...of })),
    otherFiles: leftOut.map((each) => ({ ...each, examples: [...each.examples] })),
    failures,
    ...counts,
    documents: whole.all,
    tokens: tokenizer === null ? null : Math.round((counts.characters * sampled.tokens) / sampled.characters),
    complete,
    repeatedDocuments: whole.repeated,
    paragraphs: paragraphs.all,
    repeatedParagraphs: paragraphs.repeated,
    repeatedCharacters: paragraphs.repeatedCharacters,
    boilerplate: lines.mostFrequent(),
    encodings: [...encodings].map(([encoding, of]) => ({ encoding, ...of })),
    preview: shownOf(preview),
  };
}

/** A document of every kind first, then second ones, in the order of the files. */
function shownOf(found: readonly { file: string; kind: CorpusKind; text: string }[]): CorpusReport['preview'] {
  const place = new Map(found.map((each) => [each, found.filter(({ kind }) => kind === each.kind).indexOf(each)]));
  return found
    .toSorted((a, b) => place.get(a)! - place.get(b)!)
    .slice(0, shownDocuments)
    .map(({ file, text }) => ({ file, text }));
}
