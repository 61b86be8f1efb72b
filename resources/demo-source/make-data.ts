/**
 * Makes the demo's data: `task/train.tsv`, `task/dev.tsv`, `corpus.jsonl` and the tokenizer files of `teacher/`. Every byte
 * follows from the seed.
 *
 *     node resources/demo-source/make-data.ts [<folder, default resources/demo>] [--pretraining-corpus <file>]
 *
 * `--pretraining-corpus` also writes the large corpus (about 4.5 MB) that the base model is pre-trained on; `corpus.jsonl` is its first megabyte.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { tokenizerJson, trainBpe } from './bpe.ts';
import { drawDocument } from './corpus.ts';
import { Random } from './random.ts';
import { drawTicket, type Ticket } from './tickets.ts';

const seed = 20_251;
const trainRows = 14_000;
const devRows = 3_000;
const corpusCharacters = 1_000_000;
const pretrainingCharacters = 4_500_000;
const vocabularySize = 1_536;
/** Ids 0..3, in this order. */
const specials = ['<unk>', '<s>', '</s>', '<pad>'];

export interface DemoData {
  readonly train: readonly Ticket[];
  readonly dev: readonly Ticket[];
  /** The pre-training corpus, one document in a line. */
  readonly documents: readonly string[];
}

/** A text without capitals, digits and punctuation: texts with the same essence count as one. */
export function essence(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z ]/g, '')
    .replace(/ +/g, ' ')
    .trim();
}

/** Draws all data. No text of dev is in train or in the corpus, and no held-out combination is outside dev. */
export function drawDemo(): DemoData {
  const seen = new Set<string>();
  const fresh = (text: string): boolean => {
    const key = essence(text);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
  const dev: Ticket[] = [];
  for (const random = new Random(seed + 1); dev.length < devRows;) {
    const ticket = drawTicket(random);
    if (fresh(ticket.text)) dev.push(ticket);
  }
  const train: Ticket[] = [];
  for (const random = new Random(seed); train.length < trainRows;) {
    const ticket = drawTicket(random);
    if (!ticket.heldOut && fresh(ticket.text)) train.push(ticket);
  }
  const devTexts = new Set(dev.map((ticket) => essence(ticket.text)));
  const documents: string[] = [];
  const random = new Random(seed + 2);
  for (let characters = 0; characters < pretrainingCharacters;) {
    const document = drawDocument(random);
    if (document === null || devTexts.has(essence(document)) || !fresh(document)) continue;
    documents.push(document);
    characters += document.length + 1;
  }
  return { train, dev, documents };
}

export function table(tickets: readonly Ticket[]): string {
  return `text\tqueue\n${tickets.map((ticket) => `${ticket.text}\t${ticket.queue}\n`).join('')}`;
}

/** The first documents as JSON lines, until `characters` are reached: each line is a document of its own to the trainer. */
export function corpusLines(documents: readonly string[], characters: number): string {
  let lines = '';
  for (const text of documents) {
    if (lines.length >= characters) break;
    lines += `${JSON.stringify({ text })}\n`;
  }
  return lines;
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  process.stderr.write(`${path}: ${Buffer.byteLength(content)} bytes\n`);
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'pretraining-corpus': { type: 'string' } },
  });
  const folder = positionals[0] ?? join(import.meta.dirname, '..', 'demo');
  const { train, dev, documents } = drawDemo();
  write(join(folder, 'task', 'train.tsv'), table(train));
  write(join(folder, 'task', 'dev.tsv'), table(dev));
  write(join(folder, 'corpus.jsonl'), corpusLines(documents, corpusCharacters));
  if (values['pretraining-corpus']) write(values['pretraining-corpus'], corpusLines(documents, Infinity));

  const bpe = trainBpe([...documents, ...train.map((ticket) => ticket.text)], vocabularySize, specials);
  write(join(folder, 'teacher', 'tokenizer.json'), `${JSON.stringify(tokenizerJson(bpe), null, 1)}\n`);
  const added = Object.fromEntries(
    specials.map((content, id) => [
      id,
      { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special: true },
    ]),
  );
  write(
    join(folder, 'teacher', 'tokenizer_config.json'),
    `${JSON.stringify(
      {
        tokenizer_class: 'PreTrainedTokenizerFast',
        add_bos_token: false,
        add_eos_token: false,
        add_prefix_space: false,
        added_tokens_decoder: added,
        unk_token: '<unk>',
        bos_token: '<s>',
        eos_token: '</s>',
        pad_token: '<pad>',
        clean_up_tokenization_spaces: false,
        model_max_length: 256,
      },
      null,
      2,
    )}\n`,
  );
}

if (import.meta.main) main();
