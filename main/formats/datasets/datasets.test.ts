import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import { corpusFiles, type Dataset, type DatasetRow, openDataset, readCorpus } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-datasets-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function saved(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function read(name: string, content: string | Uint8Array): Promise<{ dataset: Dataset; rows: DatasetRow[] }> {
  const dataset = await openDataset(await saved(name, content));
  return { dataset, rows: await collect(dataset.rows()) };
}

const refused = (name: string, content: string | Uint8Array) => saved(name, content).then(openDataset);

describe('TSV', () => {
  it('takes quotation marks as characters, strips BOM and CR, and counts lines', async () => {
    const { dataset, rows } = await read('a.tsv', '\ufeffsentence\tlabel\r\nsay "hi\t1\r\n\r\n"" end\t0\r\n');
    expect(dataset).toMatchObject({ format: 'tsv', columns: ['sentence', 'label'], problemCount: 1 });
    expect(rows).toEqual([
      { row: 2, values: { sentence: 'say "hi', label: '1' } },
      { row: 4, values: { sentence: '"" end', label: '0' } },
    ]);
    expect(dataset.problems).toEqual([{ row: 3, kind: 'empty-line', message: 'an empty line' }]);
  });

  it('names ragged rows and broken UTF-8, and starts afresh when read again', async () => {
    const bytes = Buffer.concat([Buffer.from('a\tb\n1\n1\t2\t3\n'), Buffer.from([0x78, 0xff, 9, 0x79])]);
    const { dataset, rows } = await read('ragged.tsv', bytes);
    expect(rows).toEqual([{ row: 4, values: { a: 'x\ufffd', b: 'y' } }]);
    expect(dataset.problems.map(({ row, kind }) => [row, kind])).toEqual([
      [2, 'ragged'],
      [3, 'ragged'],
      [4, 'invalid-utf8'],
    ]);
    await collect(dataset.rows());
    expect(dataset.problems).toHaveLength(3);
  });

  it('keeps at most a thousand problems and counts them all', async () => {
    const { dataset } = await read('bad.tsv', `a\tb\n${'x\n'.repeat(1500)}`);
    expect([dataset.problems.length, dataset.problemCount]).toEqual([1000, 1500]);
  });

  it.each([
    ['empty', ''],
    ['only a BOM', '\ufeff'],
    ['no column names at all', '\t\n1\t2'],
    ['a column twice', 'a\ta\n1\t2'],
  ])('refuses a file with %s', async (_, content) => {
    await expect(refused('header.tsv', content)).rejects.toMatchObject({ name: 'TritsmithError', code: 'bad-input' });
  });

  it('gives columns named as properties of objects their values', async () => {
    const { rows } = await read('proto.tsv', '__proto__\tconstructor\n1\t2');
    expect(Object.entries(rows[0]!.values)).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe('CSV', () => {
  it('reads quoted fields with commas, quotation marks and line breaks; rows are the lines where they begin', async () => {
    const { dataset, rows } = await read(
      'a.csv',
      '\ufefftext,label\r\n"one, ""two""\nthree",x\r\n\r\nfour,y\r\nfive\r\n',
    );
    expect(dataset).toMatchObject({ format: 'csv', columns: ['text', 'label'] });
    expect(rows).toEqual([
      { row: 2, values: { text: 'one, "two"\nthree', label: 'x' } },
      { row: 5, values: { text: 'four', label: 'y' } },
    ]);
    expect(dataset.problems.map(({ row, kind }) => [row, kind])).toEqual([
      [4, 'empty-line'],
      [6, 'ragged'],
    ]);
  });

  it('takes semicolons where the header has them, and content over the name', async () => {
    expect((await read('b.csv', 'a;b\n1,5;2\n')).rows[0]!.values).toEqual({ a: '1,5', b: '2' });
    expect((await read('c.csv', 'a\tb\n"1\t2\n')).dataset.format).toBe('tsv');
  });

  it('says where a quotation mark is not closed', async () => {
    const dataset = await openDataset(await saved('open.csv', 'a,b\n1,2\n"x,3\n4,5\n'));
    await expect(collect(dataset.rows())).rejects.toMatchObject({ code: 'damaged', message: /line 3/ });
  });
});

describe('JSON', () => {
  it('reads JSONL, joins lists, writes simple values as text', async () => {
    const { dataset, rows } = await read(
      'a.jsonl',
      '{"source":["One.","Two."],"n":1.5,"ok":true,"none":null}\n\nnonsense\n[1]\n{"source":"x","o":{"a":[1]}}',
    );
    expect(dataset.columns).toEqual(['source', 'n', 'ok', 'none', 'o']);
    expect(rows).toEqual([
      { row: 1, values: { source: 'One. Two.', n: '1.5', ok: 'true', none: '', o: '' } },
      { row: 5, values: { source: 'x', n: '', ok: '', none: '', o: '{"a":[1]}' } },
    ]);
    expect(dataset.problems.map(({ row, kind }) => [row, kind])).toEqual([
      [2, 'empty-line'],
      [3, 'invalid-json'],
      [4, 'not-an-object'],
    ]);
  });

  it('reads an array, an object of rows, and JSONL that is called .json', async () => {
    const array = await read('b.json', '[{"a":1},7,{"b":2}]');
    expect(array.rows).toEqual([
      { row: 1, values: { a: '1', b: '' } },
      { row: 3, values: { a: '', b: '2' } },
    ]);
    expect(array.dataset.problems).toMatchObject([{ row: 2, kind: 'not-an-object' }]);
    expect((await read('c.json', '{"x":{"a":"1"},"y":{"a":"2"}}')).rows.map(({ values }) => values)).toEqual([
      { a: '1' },
      { a: '2' },
    ]);
    expect((await read('d.json', '{"a":"1"}\n{"a":"2"}\n')).dataset.format).toBe('jsonl');
    expect((await read('e', '{"a":"1"}\n{"a":"2"}\n')).rows).toHaveLength(2);
  });

  it.each(['[]', '7', '{"a":1}', '{', '['.repeat(100_000), '[[1]]'])('refuses %s', async (content) => {
    await expect(refused('bad.json', content)).rejects.toBeInstanceOf(TritsmithError);
  });
});

const parquet = () =>
  Buffer.from(
    parquetWriteBuffer({
      columnData: [
        { name: 'text', data: Array.from({ length: 50 }, (_, i) => `row ${i}`), type: 'STRING' },
        { name: 'label', data: Array.from({ length: 50 }, (_, i) => i % 3), type: 'INT32' },
        { name: 'large', data: Array.from({ length: 50 }, (_, i) => BigInt(i) * 10n ** 15n), type: 'INT64' },
        { name: 'flag', data: Array.from({ length: 50 }, (_, i) => i % 2 === 0), type: 'BOOLEAN' },
      ],
      rowGroupSize: 20,
    }),
  );

describe('Parquet', () => {
  it('reads row groups in order, all values as text', async () => {
    const { dataset, rows } = await read('a.parquet', parquet());
    expect(dataset).toMatchObject({ format: 'parquet', columns: ['text', 'label', 'large', 'flag'], problemCount: 0 });
    expect(rows).toHaveLength(50);
    expect(rows[41]).toEqual({
      row: 42,
      values: { text: 'row 41', label: '2', large: '41000000000000000', flag: 'false' },
    });
    expect((await read('parquet-without-a-name', parquet())).rows).toHaveLength(50);
  });

  it('refuses what is no Parquet', async () => {
    await expect(refused('b.parquet', 'PAR1 and nothing')).rejects.toMatchObject({ code: 'damaged' });
    await expect(refused('c.parquet', '')).rejects.toMatchObject({ code: 'damaged' });
  });
});

describe('Parquet made to exhaust the machine', () => {
  // A find of the fuzzer (parquet, seed 1, input 3): 1.7 kB whose decoding takes the library minutes.
  const endless = path.join(import.meta.dirname, 'golden', 'endless.parquet');

  it('is stopped, and the next file is read', async () => {
    const before = process.memoryUsage.rss();
    const dataset = await openDataset(endless);
    await expect(collect(dataset.rows())).rejects.toMatchObject({
      name: 'TritsmithError',
      code: 'bad-input',
      message: /takes more than|needs more than/,
      remedy: /JSONL/,
    });
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 2 ** 20);
    expect((await read('after.parquet', parquet())).rows).toHaveLength(50);
  });

  it('is refused where its metadata claims what the file can not hold', async () => {
    const original = parquet();
    const length = original.readUInt32LE(original.length - 8);
    const lie = Buffer.from(original);
    lie.writeUInt32LE(0x7fff_ffff, original.length - 8);
    expect(length).toBeLessThan(original.length);
    await expect(refused('lie.parquet', lie)).rejects.toMatchObject({ code: 'damaged', reason: /exceeds/ });
  });
});

describe('openDataset', () => {
  it('refuses compressed files, folders, plain text and what is not there', async () => {
    await expect(refused('a.tsv.gz', Uint8Array.of(0x1f, 0x8b, 8))).rejects.toMatchObject({ code: 'unsupported' });
    await expect(refused('a.txt', 'just words')).rejects.toMatchObject({ code: 'unsupported' });
    await expect(openDataset(folder)).rejects.toBeInstanceOf(TritsmithError);
    await expect(openDataset(path.join(folder, 'nowhere.tsv'))).rejects.toMatchObject({ code: 'not-found' });
  });

  it.skipIf(!hasSharedData).each([
    ['tasks/sst2/train.tsv', 60_614, ['sentence', 'label']],
    ['tasks/sst2/train_tail10.tsv', 6735, ['sentence', 'label']],
    ['tasks/sst2/dev.tsv', 872, ['sentence', 'label']],
    ['tasks/qnli/val.json', 1000, ['text_a', 'text_b', 'label']],
    ['tasks/mnli/train.json', 8999, ['text_a', 'text_b', 'label']],
    ['tasks/scitldr/dev.jsonl', 619, ['source', 'source_labels', 'rouge_scores', 'paper_id', 'target', 'title']],
  ])('reads %s: %i rows without a problem', async (file, count, columns) => {
    const dataset = await openDataset(sharedData(file));
    expect(dataset.columns).toEqual(columns);
    let rows = 0;
    for await (const { values } of dataset.rows()) {
      expect(values[columns[0]!]).not.toBe('');
      rows++;
    }
    expect([rows, dataset.problemCount]).toEqual([count, 0]);
  });
});

describe('readCorpus', () => {
  const write = async (name: string, content: string | Uint8Array) => {
    const file = path.join(folder, 'corpus', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  };

  it('reads a tree in a fixed order, and cuts at blank lines', async () => {
    const paragraph = `${'word '.repeat(400)}\r\n\r\n`;
    await write('b/second.txt', paragraph.repeat(100));
    await write('a.txt', '\ufeffFirst\r\nline');
    await write('b/rows.jsonl', '{"text":"one"}\nnonsense\n\n{"content":"two"}\n{"n":1}\n{"title":"three"}');
    await write('notes.log', 'not read');
    await write('empty.txt', ' \n\n');
    const corpus = path.join(folder, 'corpus');
    const { files, leftOut } = await corpusFiles(corpus);
    expect(leftOut).toEqual([{ ending: '.log', files: 1, examples: ['notes.log'] }]);
    expect(files.map((file) => path.relative(corpus, file.path))).toEqual([
      'a.txt',
      'b/rows.jsonl',
      'b/second.txt',
      'empty.txt',
    ]);
    const skipped: number[] = [];
    const all = await collect(readCorpus(corpus, { onSkipped: (_, offset) => skipped.push(offset) }));
    expect(all.slice(0, 4).map(({ text }) => text)).toEqual(['First\nline', 'one', 'two', 'three']);
    expect(skipped).toEqual([24, 51]);
    const long = all.slice(4);
    expect(long.map(({ text }) => text).join('')).toBe(paragraph.replaceAll('\r', '').repeat(100));
    expect(long.length).toBe(4);
    for (const { text } of long) expect(text.length).toBeLessThan(70_000);
  });

  it('cuts text without any line break between characters, never inside one', async () => {
    const text = '€🦙'.repeat(100_000);
    const file = await saved('unbroken.txt', text);
    const documents = await collect(readCorpus(file));
    expect(documents.map((document) => document.text).join('')).toBe(text);
    expect(documents.length).toBe(3);
  });

  it('refuses a folder without text and what is not there', async () => {
    await mkdir(path.join(folder, 'bare'));
    await expect(collect(readCorpus(path.join(folder, 'bare')))).rejects.toMatchObject({ code: 'bad-input' });
    await expect(collect(readCorpus(path.join(folder, 'absent')))).rejects.toMatchObject({ code: 'not-found' });
  });

  it('reads a quarter of a gigabyte in bounded memory', async () => {
    const file = path.join(folder, 'large.txt');
    const handle = await import('node:fs/promises').then(({ open }) => open(file, 'w'));
    const megabyte = Buffer.from(`${'lorem ipsum '.repeat(85)}\n\n`.repeat(1024));
    for (let i = 0; i < 256; i++) await handle.write(megabyte);
    await handle.close();
    let bytes = 0;
    let most = 0;
    const before = process.memoryUsage().rss;
    for await (const document of readCorpus(file)) {
      bytes += Buffer.byteLength(document.text);
      most = Math.max(most, process.memoryUsage.rss() - before);
    }
    expect(bytes).toBe(256 * megabyte.length);
    expect(most).toBeLessThan(200 * 2 ** 20);
    await rm(file);
  });

  it.skipIf(!hasSharedData)('reads the novels without BOM and CR', async () => {
    const documents = await collect(readCorpus(sharedData('corpus/novels')));
    const text = documents.map((document) => document.text).join('');
    expect(text).not.toMatch(/[\r\ufeff]/);
    const first = (await readFile(sharedData('corpus/novels/Anon_Clara_1864.txt'), 'utf8'))
      .slice(1)
      .replaceAll('\r', '');
    expect(text.startsWith(first)).toBe(true);
  });
});
