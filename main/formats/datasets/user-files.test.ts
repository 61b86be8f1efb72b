import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-user-files-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function saved(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, `${files++}-${name}`);
  await writeFile(file, content);
  return file;
}

/** Columns, values row by row, and what was said: `[row, kind]`. */
async function read(name: string, content: string | Uint8Array) {
  const dataset = await openDataset(await saved(name, content));
  const rows: string[][] = [];
  for await (const { values } of dataset.rows()) rows.push(dataset.columns.map((column) => values[column]!));
  return { format: dataset.format, columns: dataset.columns, rows, said: dataset.problems };
}
const refusal = (name: string, content: string | Uint8Array) => saved(name, content).then(openDataset);

describe('the delimiter is found, whatever the file is called', () => {
  it.each([
    ['a.csv', 'text,label\nx,1\ny,0\n'],
    ['a.csv', 'text;label\nx;1\ny;0\n'],
    ['a.csv', 'text\tlabel\nx\t1\ny\t0\n'],
    ['a.csv', 'text|label\nx|1\ny|0\n'],
    ['a.tsv', 'text,label\nx,1\ny,0\n'],
    ['a.tsv', 'text;label\nx;1\ny;0\n'],
    ['a.txt', 'text\tlabel\nx\t1\ny\t0\n'],
    ['a', 'text;label\r\nx;1\r\ny;0\r\n'],
  ])('%s %j', async (name, content) => {
    const { columns, rows, said } = await read(name, content);
    expect(columns).toEqual(['text', 'label']);
    expect(rows).toEqual([
      ['x', '1'],
      ['y', '0'],
    ]);
    expect(said).toEqual([]);
  });

  it('by what the rows agree on, not by the header alone', async () => {
    const { columns, rows } = await read('b.csv', 'text, long;label\n"a; b";1\nc, d;0\ne, f, g;1\n');
    expect(columns).toEqual(['text, long', 'label']);
    expect(rows).toEqual([
      ['a; b', '1'],
      ['c, d', '0'],
      ['e, f, g', '1'],
    ]);
  });

  it('and a table of one column is one', async () => {
    expect(await read('c.csv', 'text\nhello\n')).toMatchObject({ columns: ['text'], rows: [['hello']] });
  });
});

describe('quotation', () => {
  it('keeps line breaks, doubled and stray quotation marks', async () => {
    const { rows } = await read('q.csv', 'text,label\r\n"two\r\nlines, ""so""",1\r\n5" disk,0\r\n');
    expect(rows).toEqual([
      ['two\r\nlines, "so"', '1'],
      ['5" disk', '0'],
    ]);
  });

  it('names the row with a field too many, and the way out', async () => {
    const { rows, said } = await read('r.csv', 'text,label\ngood,1\none, two,0\n');
    expect(rows).toEqual([['good', '1']]);
    expect(said).toMatchObject([
      { row: 3, kind: 'ragged', message: expect.stringMatching(/3 fields.*quotation marks/) as string },
    ]);
  });

  it('gives up soon where a quotation mark is never closed', async () => {
    const dataset = await openDataset(await saved('open.csv', `a,b\n1,2\n"x,3\n${'4,5\n'.repeat(6_000_000)}`));
    const reading = (async () => {
      for await (const row of dataset.rows()) expect(row.row).toBe(2);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'damaged', message: /line 3/, remedy: /quotation mark/ });
  });
});

describe('column names', () => {
  it('without a name are called by their place, as the index of pandas', async () => {
    expect(await read('index.csv', ',text,label\n0,x,1\n')).toMatchObject({
      columns: ['column 1', 'text', 'label'],
      rows: [['0', 'x', '1']],
    });
  });

  it('that are there twice are refused with their places', async () => {
    await expect(refusal('twice.csv', 'text,label,text\na,b,c\n')).rejects.toMatchObject({
      code: 'bad-input',
      reason: /"text" twice \(columns 1 and 3\)/,
      remedy: /name of its own/,
    });
  });
});

describe('encodings', () => {
  it('reads UTF-8 with a byte order mark', async () => {
    expect(await read('bom.csv', '\ufefftext,label\nGrüße,1\n')).toMatchObject({
      columns: ['text', 'label'],
      rows: [['Grüße', '1']],
      said: [],
    });
  });

  it('names rows of a UTF-8 table with bytes of another encoding, and says how to save them', async () => {
    const bytes = Buffer.concat([Buffer.from('text,label\nGrüße,0\n'), Buffer.from('Grüe,1\n', 'latin1')]);
    const { rows, said } = await read('mixed.csv', bytes);
    expect(rows).toEqual([
      ['Grüße', '0'],
      ['Gr\ufffde', '1'],
    ]);
    expect(said).toMatchObject([
      { row: 3, kind: 'invalid-utf8', message: expect.stringMatching(/CSV UTF-8/) as string },
    ]);
  });

  it.each<[string, Uint8Array, RegExp, RegExp]>([
    ['an archive', Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0), /archive/, /Unpack/],
    ['an old workbook', Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1), /old Excel/, /\.xlsx/],
    ['zstd', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0), /compressed/, /Unpack/],
    ['NUL bytes', Buffer.from('text,label\na,1\nb\0c,1\n'), /no text/, /copy it again/],
    ['line ends of old Macs', Buffer.from('text\tlabel\rx\t1\r'), /line ends/, /LF/],
    ['nothing', Buffer.alloc(0), /empty/, /header/],
    ['nothing but white space', Buffer.from('\r\n \n'), /empty/, /header/],
  ])('refuses %s with a way out', async (_, bytes, message, remedy) => {
    await expect(refusal('encoded.csv', bytes)).rejects.toMatchObject({ name: 'TritsmithError', message, remedy });
  });

  it('leaves out a row with a NUL far down and names it', async () => {
    const { rows, said } = await read('nul.csv', `text,label\n${'x,1\n'.repeat(40_000)}a\0b,1\n`);
    expect(rows).toHaveLength(40_000);
    expect(said).toMatchObject([{ row: 40_002, kind: 'nul' }]);
  });
});

describe('places that are no files', () => {
  it.skipIf(process.platform === 'win32')('are refused at once: pipes, devices, folders', async () => {
    const pipe = path.join(folder, 'pipe.csv');
    execFileSync('mkfifo', [pipe]);
    for (const place of [pipe, '/dev/zero', folder])
      await expect(openDataset(place)).rejects.toMatchObject({ name: 'TritsmithError', code: 'bad-input' });
  });
});

describe('a long line', () => {
  it('of 20 MB in a TSV is left out and named; memory stays small', async () => {
    const file = path.join(folder, 'long.tsv');
    const handle = await open(file, 'w');
    await handle.write('text\tlabel\n');
    for (let i = 0; i < 20; i++) await handle.write('x'.repeat(1024 ** 2));
    await handle.write('\t1\nshort\t0\n');
    await handle.close();
    const dataset = await openDataset(file);
    const rows = [];
    for await (const { row } of dataset.rows()) rows.push(row);
    expect(rows).toEqual([3]);
    expect(dataset.problems).toMatchObject([{ row: 2, kind: 'too-long' }]);
  });
});
