import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TritsmithError } from '../../contract/errors.ts';
import { corpusFiles, readCorpus } from './index.ts';

const golden = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`golden/${name}`, import.meta.url)));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'tritsmith-corpus-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function saved(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, String(files++), name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}
async function read(corpus: string) {
  const texts: string[] = [];
  const skipped: number[] = [];
  const leftOut: [string, TritsmithError][] = [];
  const told = {
    onSkipped: (_: string, offset: number) => skipped.push(offset),
    onLeftOut: (file: string, why: TritsmithError) => leftOut.push([path.basename(file), why]),
  };
  for await (const { text } of readCorpus(corpus, told)) texts.push(text);
  return { texts, skipped, leftOut };
}
const textOf = async (name: string, content: string | Uint8Array) => (await read(saved(name, content))).texts;

/** A ZIP archive of one file. */
function zipOf(name: string, content: Buffer): Buffer {
  const packed = deflateRawSync(content, { level: 1 });
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(8, 4);
  fields.writeUInt32LE(crc32(content), 10);
  fields.writeUInt32LE(packed.length, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), fields, Buffer.from(name), packed]);
  const central = Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\0'), fields, Buffer.alloc(14), Buffer.from(name)]);
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}

const page = `<!doctype html><html><head><title>T</title><style>p{color:red}</style><script>alert("x")</script></head>
<body><h1>Parcels &amp; letters</h1><p>They are <b>late</b>.<br>Very <a href="https://example.org">late</a>.</p><img src="x.png" alt="">
<ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table></body></html>`;
const pageText = 'Parcels & letters\n\nThey are late.\nVery late.\n\n * one\n * two\n\na   b';
const letter = 'A letter\n\nYour parcel — № 7 — is on its way.\n\nWith “kind” regards 🦙\n\n\tboxed\nR&D';
const report = 'Quarterly report\nParcels were late.\n\nThe second page says why.';

const german = 'Die Lieferung ist für Größe 42.\nWir müssen sie übermorgen zurückschicken, schöne Grüße aus Köln.';
const russian = 'Посылка ещё не пришла.\nКогда она придёт, я напишу вам письмо о том, что было внутри.';
/** Russian text in the code page of Windows. */
const windows1251 = (text: string): Buffer =>
  Buffer.from(
    Array.from(text, (letter) => {
      const code = letter.charCodeAt(0);
      return code < 0x80 ? code : code === 0x451 ? 0xb8 : code - 0x410 + 0xc0;
    }),
  );

describe('a corpus is text, whatever it is written in', () => {
  it.each([
    ['notes.md', '# Title\n\nText *as it is*.', '# Title\n\nText *as it is*.'],
    ['page.html', page, pageText],
    ['page.htm.gz', gzipSync(page), pageText],
    ['letter.docx', golden('letter.docx'), letter],
    ['letter.docx.gz', gzipSync(golden('letter.docx')), letter],
    ['report.pdf', golden('report.pdf'), report],
    ['report.PDF.GZ', gzipSync(golden('report.pdf')), report],
    ['utf-16.txt', Buffer.from('\ufeffGrüße 🦙\r\nzwei', 'utf16le'), 'Grüße 🦙\nzwei'],
    ['no-mark.txt', Buffer.from('Plain words in UTF-16.', 'utf16le'), 'Plain words in UTF-16.'],
    ['big-endian.txt', Buffer.from('\ufeffGrüße', 'utf16le').swap16(), 'Grüße'],
    ['a.txt.gz', gzipSync('\ufeffone\r\ntwo'), 'one\ntwo'],
    ['README', 'a text without an ending', 'a text without an ending'],
    ['western.txt', Buffer.from(german, 'latin1'), german],
    ['western.txt.gz', gzipSync(Buffer.from(german, 'latin1')), german],
    ['russian.txt', windows1251(russian), russian],
    ['undeclared.html', Buffer.from(`<p>${german}</p>`, 'latin1'), german.replaceAll('\n', ' ')],
    ['rows.jsonl', Buffer.from(`${JSON.stringify({ text: german })}\n`, 'latin1'), german],
    ['latin.html', Buffer.from('<meta charset="windows-1252"><p>Grüße</p>', 'latin1'), 'Grüße'],
  ])('%s', async (name, content, text) => {
    expect(await textOf(name, content)).toEqual([text]);
  });

  it.each(['rows.jsonl.gz', 'rows.jsonl'])('%s: a row is a document, in UTF-16 too', async (name) => {
    const rows = '{"text":"one"}\nnonsense\n\n{"content":"two\\r\\n2"}\n{"n":1}\n{"title":"three"}';
    const encoded = Buffer.from(`\ufeff${rows}`, 'utf16le');
    const { texts, skipped } = await read(saved(name, name.endsWith('gz') ? gzipSync(rows) : encoded));
    expect(texts).toEqual(['one', 'two\n2', 'three']);
    expect(skipped).toEqual([2, 5]);
  });

  it.each([
    ['text', ['first', 'second', ' ']],
    ['story', ['a long story', 'another one', '']],
  ])('Parquet: its column %s', async (name, data) => {
    const columns = [
      { name: 'id', data: ['a', 'b', 'c'], type: 'STRING' as const },
      { name, data, type: 'STRING' as const },
    ];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: columns }));
    const { texts, skipped } = await read(saved('rows.parquet', bytes));
    expect([texts, skipped]).toEqual([data.slice(0, 2), [3]]);
  });

  it('gives the same documents compressed or not', async () => {
    const paragraphs = Array.from({ length: 4000 }, (_, i) => `${`word ${i} `.repeat(i % 90)}\n\n`).join('');
    const text = `${paragraphs}${'unbroken'.repeat(90_000)}\n\n${paragraphs}`;
    const plain = await textOf('a.txt', text);
    expect(plain.length).toBeGreaterThan(10);
    expect(plain.join('')).toBe(text);
    expect(await textOf('a.txt.gz', gzipSync(text))).toEqual(plain);
  });
});

describe('what is no text is refused by name', () => {
  const picture = Buffer.from('89504e470d0a1a0a0000', 'hex');
  it.each([
    ['data.zip', golden('letter.docx'), /ZIP archive/],
    ['picture.png', picture, /a picture/],
    ['model.gguf', Buffer.from('GGUF\u0003\0\0\0'), /model file/],
    ['weights.safetensors', Buffer.from('\u0008\0\0\0\0\0\0\0{"a":1}'), /NUL bytes/],
    ['table.csv', 'text,label\na,b\n', /a table/],
    ['picture.txt', picture, /a picture/],
    ['archive.jsonl', golden('letter.docx'), /ZIP archive/],
    ['rows.parquet.gz', gzipSync('PAR1'), /does not say/],
    ['a.txt.gz', gzipSync(picture), /a picture/],
    ['plain.txt.gz', 'not compressed', /can't be unpacked/],
    ['short.txt.gz', gzipSync('word '.repeat(1e5)).subarray(0, 300), /can't be unpacked/],
    ['report.pdf', golden('report.pdf').subarray(0, 200), /can't be read/],
    ['scan.pdf', golden('scan.pdf'), /holds no text/],
    ['letter.docx', golden('letter.docx').subarray(0, 300), /can't be read/],
    ['letter.docx', golden('report.pdf'), /can't be read/],
  ])('%s', async (name, content, words) => {
    const file = saved(name, content);
    await expect(read(file)).rejects.toThrow(words);
    await expect(read(file)).rejects.toThrow(name);
  });

  it('and in a folder left out and counted, the rest is read', async () => {
    const corpus = path.dirname(saved('a.txt', 'first'));
    const put = (name: string, content: string | Uint8Array) => writeFileSync(path.join(corpus, name), content);
    put('b.pdf', golden('report.pdf').subarray(0, 200));
    put('c.txt', picture);
    put('d.html', page);
    for (const name of ['x.zip', 'y.zip', 'z.tar.gz', 'LICENSE']) put(name, picture);
    const { leftOut: others } = await corpusFiles(corpus);
    expect(others).toEqual([
      { ending: '.zip', files: 2, examples: ['x.zip', 'y.zip'] },
      { ending: 'license', files: 1, examples: ['LICENSE'] },
      { ending: '.tar.gz', files: 1, examples: ['z.tar.gz'] },
    ]);
    const { texts, leftOut } = await read(corpus);
    expect(texts).toEqual(['first', pageText]);
    expect(leftOut.map(([name, { code }]) => [name, code])).toEqual([
      ['b.pdf', 'damaged'],
      ['c.txt', 'unsupported'],
    ]);
  });

  it.each([
    ['bomb.docx', () => zipOf('word/document.xml', Buffer.alloc(200 * 2 ** 20, '<w:p>'))],
    ['bomb.html.gz', () => gzipSync(Buffer.alloc(300 * 2 ** 20, '<p>a'))],
    ['deep.html', () => Buffer.from('<div>'.repeat(200_000))],
    ['nested.html', () => Buffer.from(`<p>first</p>${'<div>'.repeat(1500)}inside`)],
  ])(
    '%s: in a process that is stopped, and the next file is read',
    async (name, content) => {
      const refusal: unknown = await read(saved(name, content())).catch((thrown: unknown) => thrown);
      expect(refusal).toMatchObject({ message: expect.stringMatching(/can't be read|holds no text/) as string });
      expect(await textOf('after.html', '<p>still here</p>')).toEqual(['still here']);
    },
    240_000,
  );
});
