import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { beforeAll, describe, expect, test } from 'vitest';
import { queues } from './issues.ts';
import { corpusLines, drawDemo, essence, table, type DemoData } from './make-data.ts';

const demo = join(import.meta.dirname, '..', 'demo');
const read = (...path: string[]): string => readFileSync(join(demo, ...path), 'utf8');

let data: DemoData;
let tokenizer: Tokenizer;
beforeAll(() => {
  data = drawDemo();
  tokenizer = new Tokenizer(
    JSON.parse(read('teacher', 'tokenizer.json')) as object,
    JSON.parse(read('teacher', 'tokenizer_config.json')) as object,
  );
});
const encode = (text: string): number[] => Array.from(tokenizer.encode(text).ids, Number);

describe('the demo data', () => {
  test('is byte for byte what the script draws', () => {
    expect(table(data.train) === read('task', 'train.tsv')).toBe(true);
    expect(table(data.dev) === read('task', 'dev.tsv')).toBe(true);
    const corpus = read('corpus.jsonl');
    expect(corpus.length).toBeGreaterThan(1_000_000);
    expect(corpusLines(data.documents, 1_000_000) === corpus).toBe(true);
  });

  test('has no text twice, also not in other letter case or punctuation', () => {
    const texts = [...data.dev, ...data.train].map((ticket) => essence(ticket.text));
    expect(new Set(texts).size).toBe(17_000);
    const dev = new Set(texts.slice(0, 3_000));
    expect(data.documents.filter((document) => dev.has(essence(document)))).toEqual([]);
  });

  test('keeps some combinations for dev alone', () => {
    expect(data.train.filter((ticket) => ticket.heldOut).length).toBe(0);
    const share = data.dev.filter((ticket) => ticket.heldOut).length / data.dev.length;
    expect(share).toBeGreaterThan(0.15);
    expect(share).toBeLessThan(0.4);
  });

  test('is balanced, and a few rows are undecidable', () => {
    for (const queue of queues) {
      const share = data.dev.filter((ticket) => ticket.queue === queue).length / data.dev.length;
      expect(share).toBeGreaterThan(0.14);
      expect(share).toBeLessThan(0.2);
    }
    const undecidable = data.dev.filter((ticket) => ticket.undecidable).length / data.dev.length;
    expect(undecidable).toBeGreaterThan(0.03);
    expect(undecidable).toBeLessThan(0.08);
  });
});

describe('the demo tokenizer', () => {
  test("gives the ids of Hugging Face's own implementation", () => {
    const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'tokens.json'), 'utf8')) as [
      string,
      number[],
    ][];
    expect(golden.length).toBe(407);
    for (const [text, ids] of golden) expect(encode(text), JSON.stringify(text)).toEqual(ids);
  });

  test('gives back every text that it is given', () => {
    for (const ticket of data.dev.slice(0, 1_000))
      expect(tokenizer.decode(encode(ticket.text), { clean_up_tokenization_spaces: false })).toBe(ticket.text);
  });

  test('has one token for each queue as an answer, all different', () => {
    const answers = queues.map((queue) => encode(` ${queue}`));
    expect(answers.map((ids) => ids.length)).toEqual(queues.map(() => 1));
    expect(new Set(answers.flat()).size).toBe(queues.length);
  });

  test('makes rows of 8 to 80 tokens, half of them between 20 and 37', () => {
    const lengths = data.train.map((ticket) => encode(ticket.text).length).sort((a, b) => a - b);
    const at = (share: number): number => lengths[Math.floor(share * (lengths.length - 1))]!;
    expect(at(0.01)).toBeGreaterThanOrEqual(8);
    expect(at(0.25)).toBeGreaterThanOrEqual(20);
    expect(at(0.75)).toBeLessThanOrEqual(37);
    expect(at(1)).toBeLessThanOrEqual(80);
  });
});
