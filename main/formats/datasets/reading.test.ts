/** Tables as people have them: what is found out about a file, and what may be set instead. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { utils, write } from '@e965/xlsx';
import { Zip, ZipPassThrough, zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readingOptions, type ReadingOptions } from '../../contract/table-reading.ts';
import { openDataset } from './index.ts';
import { encodingOf } from './text-encoding.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-reading-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function saved(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, `${files++}-${name}`);
  await writeFile(file, content);
  return file;
}
const golden = (name: string) => path.join(import.meta.dirname, 'golden', name);

async function readFrom(file: string, options: ReadingOptions = {}) {
  const dataset = await openDataset(file, options);
  const rows: string[][] = [];
  const numbers: number[] = [];
  for await (const { row, values } of dataset.rows()) {
    rows.push(dataset.columns.map((column) => values[column]!));
    numbers.push(row);
  }
  const { format, columns, reading } = dataset;
  return { format, columns, rows, numbers, reading, said: dataset.problems.map(({ row, kind }) => [row, kind]) };
}
const read = (name: string, content: string | Uint8Array, options?: ReadingOptions) =>
  saved(name, content).then((file) => readFrom(file, options));

describe('a workbook', () => {
  it('.xlsx: the sheet with most rows and its header are found; cells are as a person sees them', async () => {
    const found = await readFrom(golden('tickets.xlsx'));
    expect(found.format).toBe('xlsx');
    expect(found.columns).toEqual(['Text', 'Queue', 'Opened', 'Price', 'Share', 'Urgent']);
    expect(found.rows).toEqual([
      ['Where is my parcel?', 'delivery', '2024-03-01', '3.10', '5%', 'TRUE'],
      ['It came broken', 'delivery', '2024-03-02T14:30:00', '1234.50', '50%', 'FALSE'],
      ['Give me my money\nback', 'refund', '', '', '', ''],
      ['Grüße, 你好', 'refund', '', '7.00', '', ''],
    ]);
    expect(found.numbers).toEqual([4, 5, 7, 8]);
    expect(found.said).toEqual([[6, 'empty-line']]);
    expect(found.reading).toMatchObject({ sheet: 'Tickets', header: 3 });
    expect(found.reading.sheets.map(({ name }) => name)).toEqual(['About', 'Tickets', 'No header', 'Hidden']);
  });

  it('a sheet and a header row are taken as they are set', async () => {
    const bare = await readFrom(golden('tickets.xlsx'), { sheet: 'No header' });
    expect(bare).toMatchObject({ columns: ['column 1', 'column 2'], reading: { header: 'none' } });
    expect(bare.rows).toHaveLength(4);
    const set = await readFrom(golden('tickets.xlsx'), { sheet: 'Tickets', header: 4 });
    expect(set).toMatchObject({ columns: ['Where is my parcel?', 'delivery', '2024-03-01', '3.10', '5%', 'TRUE'] });
    await expect(openDataset(golden('tickets.xlsx'), { sheet: 'Tikets' })).rejects.toMatchObject({
      code: 'bad-input',
      reason: /"Tickets"/,
    });
  });

  it('.ods, and formulas by their values', async () => {
    expect(await readFrom(golden('tickets.ods'))).toMatchObject({
      format: 'ods',
      columns: ['text', 'label', 'opened', 'price'],
      rows: [
        ['Where is it?', 'delivery', '2024-03-01', '3.5'],
        ['Broken', 'refund', '2024-03-02', '10'],
        ['Grüße', 'delivery', '2024-03-03', '0.25'],
      ],
      numbers: [2, 3, 4],
    });
    expect((await readFrom(golden('formula.xlsx'))).rows).toEqual([
      ['one', 'a', '3'],
      ['two', 'b', '0'],
    ]);
  });

  it('of 3,000 tickets is read', async () => {
    const book = utils.book_new();
    const rows = Array.from({ length: 3000 }, (_, i) => [`Ticket ${i}: where is my parcel?`, ['a', 'b', 'c'][i % 3]]);
    utils.book_append_sheet(book, utils.aoa_to_sheet([['text', 'queue'], ...rows]), 'Tickets');
    const { rows: found, numbers } = await read('tickets.xlsx', write(book, { type: 'buffer' }) as Buffer);
    expect(found).toEqual(rows);
    expect(numbers.at(-1)).toBe(3001);
  });

  it('made to exhaust the machine is stopped, and the next one is read', async () => {
    const original = await readFile(golden('formula.xlsx'));
    const parts: Uint8Array[] = [];
    const zip = new Zip((_, part) => parts.push(part));
    const entry = (name: string, packed: Uint8Array) => {
      const file = new ZipPassThrough(name);
      file.compression = 8;
      zip.add(file);
      file.push(packed, true);
    };
    const zeros = deflateRawSync(new Uint8Array(64 * 2 ** 20));
    entry(
      'xl/workbook.xml',
      deflateRawSync('<workbook><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>'),
    );
    for (let i = 1; i <= 25; i++) entry(`xl/worksheets/sheet${i}.xml`, zeros);
    zip.end();
    const bomb = await saved('bomb.xlsx', Buffer.concat(parts));
    const before = process.memoryUsage.rss();
    await expect(openDataset(bomb)).rejects.toMatchObject({ name: 'TritsmithError', remedy: /CSV/ });
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 2 ** 20);
    expect((await read('after.xlsx', original)).rows).toHaveLength(2);
  }, 120_000);

  it('that is damaged, an archive, or a document is refused', async () => {
    const original = await readFile(golden('tickets.xlsx'));
    const cut = await saved('cut.xlsx', original.subarray(0, original.length / 2));
    await expect(openDataset(cut)).rejects.toMatchObject({ name: 'TritsmithError' });
    const archive = await saved('rows.zip', zipSync({ 'rows.csv': Buffer.from('a,b\n1,2\n') }));
    await expect(openDataset(archive)).rejects.toMatchObject({ code: 'unsupported', message: /archive/ });
    const document = await saved('a.docx', zipSync({ 'word/document.xml': Buffer.from('<w/>') }));
    await expect(openDataset(document)).rejects.toMatchObject({ code: 'unsupported' });
  });
});

describe('a table without a header does not lose its first row', () => {
  it.each([
    ['numbers as labels', 'good film\t1\nbad film\t0\nfine\t1\n'],
    ['few labels', 'good film,pos\nbad film,neg\nfine,pos\nawful,neg\nwell,pos\n'],
    [
      'prose alone',
      'What is the capital of France please?,It is Paris on the Seine.\nWho wrote the play about Hamlet?,It was William Shakespeare of Stratford.\n',
    ],
  ])('%s', async (_, content) => {
    const { columns, rows, reading } = await read('bare.csv', content);
    expect(columns).toEqual(['column 1', 'column 2']);
    expect(rows).toHaveLength(content.trim().split('\n').length);
    expect(reading.header).toBe('none');
  });

  it.each([
    ['names', 'text,label\nx,1\ny,0\n', ['text', 'label']],
    [
      'questions of a form',
      'Timestamp,How satisfied are you with us?\n1/2/2024,very\n1/3/2024,very\n',
      ['Timestamp', 'How satisfied are you with us?'],
    ],
    ['numbered columns of pandas', ',0,1\n0,good,pos\n1,bad,neg\n', ['column 1', '0', '1']],
    ['a header that is repeated', 'text,label\na,x\ntext,label\nb,y\nc,x\n', ['text', 'label']],
  ])('but %s are a header', async (_, content, columns) => {
    const found = await read('named.csv', content);
    expect(found.columns).toEqual(columns);
    expect(found.reading.header).toBe(1);
  });

  it('and either may be set', async () => {
    const bare = await read('set.csv', 'text,label\na,b\n', { header: 'none' });
    expect(bare).toMatchObject({
      rows: [
        ['text', 'label'],
        ['a', 'b'],
      ],
      numbers: [1, 2],
      reading: { header: 'none' },
    });
    const third = await read('titles.csv', 'Export\nof today\ntext;label\na;b\n', { header: 3 });
    expect(third).toMatchObject({ columns: ['text', 'label'], rows: [['a', 'b']], numbers: [4] });
  });
});

describe('delimiter, quoting and escaping', () => {
  it('takes sep= of Excel for what it is', async () => {
    const found = await read('excel.csv', 'sep=;\r\ntext;label\r\na, b;1\r\n');
    expect(found).toMatchObject({ columns: ['text', 'label'], rows: [['a, b', '1']], numbers: [3] });
    expect(found.reading).toMatchObject({ delimiter: ';', header: 2 });
    expect((await read('odd.csv', 'sep=~\ntext~label\na~1\n')).rows).toEqual([['a', '1']]);
  });

  it('finds marks that are escaped by a backslash', async () => {
    const found = await read('escaped.csv', 'text,label\n"she said \\"hi, you\\" twice",1\n"C:\\\\dir\\\\",0\nx,1\n');
    expect(found.reading.escape).toBe('backslash');
    expect(found.rows).toEqual([
      ['she said "hi, you" twice', '1'],
      ['C:\\dir\\', '0'],
      ['x', '1'],
    ]);
    expect((await read('doubled.csv', 'text,label\n"she said ""hi"" twice",1\n"C:\\",0\n')).rows).toEqual([
      ['she said "hi" twice', '1'],
      ['C:\\', '0'],
    ]);
  });

  it('finds quoted fields in a TSV that needs them, and leaves those of GLUE', async () => {
    expect((await read('quoted.tsv', 'text\tlabel\n"a ""b"" c"\t1\nplain\t0\n')).rows[0]).toEqual(['a "b" c', '1']);
    expect((await read('glue.tsv', 'text\tlabel\n"quoted"\t1\n"" x\t0\n')).rows).toEqual([
      ['"quoted"', '1'],
      ['"" x', '0'],
    ]);
  });

  it('takes what is set', async () => {
    expect((await read('a.txt', "text^label\n'a^b'^1\n", { delimiter: '^', quote: "'" })).rows).toEqual([['a^b', '1']]);
    expect((await read('b.csv', 'text,label\n"a",1\n', { quote: 'none' })).rows).toEqual([['"a"', '1']]);
    for (const delimiter of ['', ',,', '"', '\n']) expect(readingOptions.safeParse({ delimiter }).success).toBe(false);
  });
});

/** Bytes of `text` in an encoding of one or two bytes a character, by asking its decoder for every one. */
function encoded(text: string, encoding: string): Buffer {
  const decoder = new TextDecoder(encoding, { fatal: true });
  const codes = new Map<string, number[]>();
  const note = (...bytes: number[]) => {
    try {
      const character = decoder.decode(Uint8Array.from(bytes));
      if ([...character].length === 1 && !codes.has(character)) codes.set(character, bytes);
    } catch {
      // These bytes are no character.
    }
  };
  for (let first = 0; first < 256; first++) note(first);
  if (!encoding.startsWith('windows') && !encoding.startsWith('koi8') && !encoding.startsWith('iso'))
    for (let first = 0x81; first < 255; first++) for (let second = 0x40; second < 255; second++) note(first, second);
  return Buffer.from([...text].flatMap((character) => codes.get(character)!));
}

describe('encodings are found', () => {
  const german = 'text,label\nWo ist mein Paket? Bitte prüfen,liefern\nIch möchte zurücktreten – schön,storno\n';
  it.each([
    ['windows-1252', 'text,label\nplain,0\nGrüße,1\n'],
    ['windows-1252', german],
    ['windows-1252', 'text;label\nOù est ma commande passée hier ?;livraison\n¿Dónde está? Mañana;envío\n'],
    ['windows-1252', 'text,label\nIt’s “broken” – please don’t charge €20,refund\n'],
    ['windows-1250', 'text;label\nGdzie jest moja przesyłka? Proszę o pilną odpowiedź;dostawa\n'],
    [
      'windows-1250',
      'text;label\nKde je moje zásilka? Děkuji, přeji hezký den;doprava\nŽádám o vrácení peněz;vrácení\n',
    ],
    ['windows-1251', 'текст;метка\nГде мой заказ? Прошу срочно ответить;доставка\n'],
    ['windows-1251', 'text;label\nГде мой заказ?;1\n'],
    ['gb18030', 'text,label\n我的订单在哪里？请尽快回复,物流\n很好,好评\n'],
    ['gb18030', 'text,label\n很好,1\n'],
    ['shift_jis', 'text,label\n注文はどこですか。早く返事をください,配送\n'],
    ['shift_jis', 'text,label\nとても良い,1\n'],
  ])('%s: %j', async (encoding, text) => {
    const { columns, rows, reading, said } = await read('table.csv', encoded(text, encoding));
    const lines = text
      .trim()
      .split('\n')
      .map((line) => line.split(/[,;](?! )/));
    expect([columns, ...rows]).toEqual(lines);
    expect(said).toEqual([]);
    expect(reading.encoding).toBe(encoding);
    expect(reading.confidence).toBeGreaterThan(0.2);
  });

  const utf16 = Buffer.from('text,label\r\nhello there 你,1\r\n', 'utf16le');
  it.each([
    ['with a mark', Buffer.concat([Uint8Array.of(0xff, 0xfe), utf16]), 'utf-16le'],
    ['without', utf16, 'utf-16le'],
    ['of the other order', Buffer.from(utf16).swap16(), 'utf-16be'],
  ])('UTF-16 %s', async (_, bytes, encoding) => {
    for (const name of ['a.csv', 'a.tsv']) {
      const found = await read(name, bytes);
      expect(found).toMatchObject({
        columns: ['text', 'label'],
        rows: [['hello there 你', '1']],
        reading: { encoding },
      });
    }
  });

  it('in JSON and JSON Lines too', async () => {
    expect((await read('a.json', encoded('[{"text":"Grüße"}]', 'windows-1252'))).rows).toEqual([['Grüße']]);
    expect((await read('a.jsonl', Buffer.from('\ufeff{"text":"Grüße"}\n', 'utf16le'))).rows).toEqual([['Grüße']]);
  });

  it('a megabyte down a table that is ASCII before', async () => {
    const bytes = Buffer.concat([
      Buffer.from(`text,label\n${'plain words,1\n'.repeat(80_000)}`),
      encoded('Grüße,0\n', 'windows-1252'),
    ]);
    const { rows, reading } = await read('late.csv', bytes);
    expect(rows.at(-1)).toEqual(['Grüße', '0']);
    expect(reading.encoding).toBe('windows-1252');
  });

  it('and taken as set', async () => {
    const { rows } = await read('set.csv', encoded('text,label\nGrüße,1\n', 'windows-1252'), {
      encoding: 'windows-1251',
    });
    expect(rows).toEqual([['GrьЯe', '1']]);
  });

  it('what fits nothing says so', () => {
    expect(encodingOf(Uint8Array.of(0x78, 0xff, 0x0a)).confidence).toBeLessThan(0.5);
  });
});

describe('JSON', () => {
  const shapes = async () =>
    JSON.parse(await readFile(golden('pandas-shapes.json'), 'utf8')) as Record<string, unknown>;
  it.each(['records', 'columns', 'index', 'split', 'table'])('of pandas, %s', async (shape) => {
    const { columns, rows } = await read(`${shape}.json`, JSON.stringify((await shapes())[shape]));
    expect(columns.slice(-2)).toEqual(['text', 'label']);
    expect(rows.map((row) => row.slice(-2))).toEqual([
      ['fine', 'pos'],
      ['bad', 'neg'],
      ['so so', 'pos'],
    ]);
  });

  it('of pandas, values: columns by their places', async () => {
    const found = await read('values.json', JSON.stringify((await shapes())['values']));
    expect(found).toMatchObject({ columns: ['column 1', 'column 2'], reading: { header: 'none' } });
    expect(found.rows).toHaveLength(3);
  });

  it('of 200 rows in columns is no table of 200 columns', async () => {
    const column = (value: (i: number) => string) =>
      Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i, value(i)]));
    const { columns, rows } = await read(
      'c.json',
      JSON.stringify({ text: column((i) => `t${i}`), label: column((i) => `${i % 2}`) }),
    );
    expect(columns).toEqual(['text', 'label']);
    expect(rows).toHaveLength(200);
    expect(rows[7]).toEqual(['t7', '1']);
  });

  it('with rows under a key, of which one may be set', async () => {
    const text = JSON.stringify({ version: 1, test: [{ text: 'a' }], train: [{ text: 'b' }, { text: 'c' }] });
    const found = await read('keys.json', text);
    expect(found).toMatchObject({ rows: [['b'], ['c']], reading: { sheet: 'train' } });
    expect(found.reading.sheets).toEqual([
      { name: 'test', rows: 1 },
      { name: 'train', rows: 2 },
    ]);
    expect((await read('keys.json', text, { sheet: 'test' })).rows).toEqual([['a']]);
    await expect(read('keys.json', text, { sheet: 'dev' })).rejects.toMatchObject({
      code: 'bad-input',
      reason: /"train"/,
    });
    expect((await read('lists.json', '{"text":["a","b"],"label":["x","y"]}')).rows).toEqual([
      ['a', 'x'],
      ['b', 'y'],
    ]);
  });

  it.each([
    ['a comma at the end of each line', '{"text":"a","n":[1]},\n{"text":"b","n":[2]},\n'],
    ['brackets around', '[\n{"text":"a","n":[1]},\n{"text":"b","n":[2]}\n]\n'],
    ['brackets in the first and last line', '[{"text":"a","n":[1]},\n{"text":"b","n":[2]}]'],
    ['one line', '[{"text":"a","n":[1]},{"text":"b","n":[2]}]'],
    ['one document over many lines', '[\n {\n  "text": "a",\n  "n": [1]\n },\n {"text": "b",\n  "n": [2]}\n]'],
  ])('Lines with %s', async (_, text) => {
    const { rows, said } = await read('rows.jsonl', text);
    expect(rows).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    expect(said).toEqual([]);
  });
});

describe('SQLite', () => {
  it('reads the table with most rows, or the one that is set, and writes nothing beside the file', async () => {
    const found = await readFrom(golden('tickets.sqlite'));
    expect(found).toMatchObject({
      format: 'sqlite',
      columns: ['text', 'label', 'price', 'n'],
      rows: [
        ['Where?', 'delivery', '1.5', '9007199254740993'],
        ['Grüße', 'refund', '', '2'],
        ['Late', 'delivery', '3', '3'],
      ],
      reading: { sheet: 'the tickets' },
    });
    expect((await readFrom(golden('tickets.sqlite'), { sheet: 'late' })).rows).toEqual([['Late', 'delivery']]);
    await expect(openDataset(golden('tickets.sqlite'), { sheet: 'x' })).rejects.toMatchObject({ reason: /"settings"/ });
  });

  it('refuses a file whose rows are still in a log beside it, and a damaged one', async () => {
    const bytes = await readFile(golden('tickets.sqlite'));
    const open = await saved('open.sqlite', bytes);
    await writeFile(`${open}-wal`, 'rows');
    await expect(openDataset(open)).rejects.toMatchObject({ code: 'bad-input', message: /in use/ });
    await expect(openDataset(await saved('cut.sqlite', bytes.subarray(0, 5000)))).rejects.toMatchObject({
      code: 'damaged',
      message: /SQLite/,
    });
  });
});

describe('Parquet', () => {
  it.each(['lz4', 'zstd', 'brotli', 'gzip', 'snappy', 'none'])('in %s', async (codec) => {
    const { rows } = await readFrom(golden(`${codec}.parquet`));
    expect(rows).toEqual(Array.from({ length: 40 }, (_, i) => [`row ${i % 5}`, String(i % 2)]));
  });

  it('written by DuckDB', async () => {
    const { columns, rows } = await readFrom(golden('duckdb.parquet'));
    expect(columns).toEqual(['text', 'label', 'big', 'day']);
    expect(rows).toHaveLength(30);
    expect(rows[3]!.slice(0, 2)).toEqual(['row 3', 'odd']);
  });

  it('of the Hub has the names of its classes; -1 is no label', async () => {
    expect((await readFrom(golden('classes.parquet'))).rows).toEqual([
      ['good', 'positive'],
      ['bad', 'negative'],
      ['none', ''],
    ]);
  });
});

describe('a folder of text files by class', () => {
  it('gives text and label in a fixed order', async () => {
    const root = path.join(folder, 'reviews');
    for (const [name, text] of [
      ['pos/b.txt', 'fine'],
      ['pos/a.txt', 'very\r\ngood'],
      ['neg/a.txt', encoded('schön schlecht', 'windows-1252')],
      ['neg/notes.csv', 'a,b'],
    ] as const) {
      await mkdir(path.dirname(path.join(root, name)), { recursive: true });
      await writeFile(path.join(root, name), text);
    }
    expect(await readFrom(root)).toMatchObject({
      format: 'folder',
      columns: ['text', 'label'],
      rows: [
        ['schön schlecht', 'neg'],
        ['very\ngood', 'pos'],
        ['fine', 'pos'],
      ],
    });
    await expect(openDataset(path.join(root, 'pos'))).rejects.toMatchObject({
      code: 'bad-input',
      reason: /for each class/,
    });
  });
});
