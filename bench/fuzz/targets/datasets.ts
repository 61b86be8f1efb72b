/** Files of task rows, corpora, and recipes. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { unzipSync, zipSync } from 'fflate';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { openDataset, readCorpus } from '../../../main/formats/datasets/index.ts';
import { parseBoundedJson } from '../../../main/basics/bounded-json.ts';
import { parseRecipe } from '../../../main/workbench/experiments/recipe-inputs.ts';
import type { FuzzTarget, Sample } from '../target.ts';

async function readRows(folder: string, damaged: string): Promise<void> {
  const dataset = await openDataset(path.join(folder, damaged));
  for await (const { row, values } of dataset.rows()) {
    if (!(row > 0)) throw new Error(`a row has the number ${row}`);
    for (const column of dataset.columns)
      if (typeof values[column] !== 'string') throw new Error(`row ${row} has no text in "${column}"`);
  }
  for (const { row, message } of dataset.problems)
    if (!(row > 0) || message === '') throw new Error('a problem does not say where or what it is');
}

const separators = [
  ',',
  ';',
  '\t',
  '"',
  '""',
  '\r\n',
  '\n',
  '\r',
  '\u0000',
  '\ufeff',
  '__proto__',
  '"\n',
  ',"',
  '\n\n',
];

const rows = (
  name: string,
  as: Sample['as'],
  contents: readonly (string | Uint8Array)[],
  file = `rows.${name}`,
): FuzzTarget => ({
  name,
  samples: () =>
    contents.map((content) => ({
      files: { [file]: content },
      damaged: file,
      as,
      words: separators,
    })),
  consume: readRows,
});

function parquetFile(codec: 'SNAPPY' | 'UNCOMPRESSED'): Uint8Array {
  const numbers = Array.from({ length: 30 }, (_, i) => i);
  return new Uint8Array(
    parquetWriteBuffer({
      codec,
      columnData: [
        { name: 'text', data: numbers.map((i) => `row ${i % 7}`), type: 'STRING' },
        { name: 'label', data: numbers.map((i) => i % 3), type: 'INT32' },
        { name: 'large', data: numbers.map((i) => BigInt(i) * 10n ** 15n), type: 'INT64' },
        { name: 'flag', data: numbers.map((i) => i % 2 === 0), type: 'BOOLEAN' },
        { name: 'score', data: numbers.map((i) => (i % 5 === 0 ? null : i / 7)), type: 'DOUBLE', nullable: true },
      ],
      rowGroupSize: 20,
    }),
  );
}

const golden = path.join(import.meta.dirname, '../../../main/formats/datasets/golden');
const made = (name: string): Uint8Array => readFileSync(path.join(golden, name));
const pandasShapes = JSON.parse(readFileSync(path.join(golden, 'pandas-shapes.json'), 'utf8')) as Record<
  string,
  unknown
>;

/** A workbook that is not compressed, so that damage reaches its XML. */
function unpacked(): Uint8Array {
  return zipSync(unzipSync(made('tickets.xlsx')), { level: 0 });
}

const encodedTables: readonly Uint8Array[] = [
  Buffer.from('\ufefftext;label\r\nhello;1\r\ngr\u00fc\u00dfe;0\r\n', 'utf16le'),
  Buffer.from('text,label\nGr\u00fc\u00dfe,1\nsch\u00f6n "so",0\n', 'latin1'),
  // Two words of Chinese in GB 18030, and of Japanese in Shift-JIS.
  Buffer.from('text,label\n\u00c4\u00e3\u00ba\u00c3,1\n\u00d0\u00bb\u00d0\u00bb,0\n', 'latin1'),
  Buffer.from('text\tlabel\n\u0082\u00c6\u0082\u00c4\u0082\u00e0,1\t0\n', 'latin1'),
  Buffer.from('sep=;\r\n"a \\"b\\" c";1\r\nd;0\r\n'),
];

const classFolders: FuzzTarget = {
  name: 'class-folders',
  samples: () => [
    {
      files: { 'rows/good/a.txt': 'fine \u20ac text\r\n', 'rows/bad/b.txt': 'Gr\u00fc\u00dfe', 'rows/bad/c.txt': '' },
      damaged: 'rows/good/a.txt',
      as: 'bytes',
    },
  ],
  consume: (folder) => readRows(folder, 'rows'),
};

const corpus: FuzzTarget = {
  name: 'corpus',
  samples: () => [
    {
      files: { 'corpus/a.txt': '\ufeffFirst\r\nline\n\nsecond €🦙 paragraph\n', 'corpus/b.jsonl': '{"text":"one"}\n' },
      damaged: 'corpus/a.txt',
      as: 'text',
      words: separators,
    },
    {
      files: { 'corpus/a.txt': 'x', 'corpus/b.jsonl': '{"text":"one"}\n{"content":"two","n":1}\n\n["three"]\n' },
      damaged: 'corpus/b.jsonl',
      as: 'text',
      words: ['{', '}', '"', '[', '\\u0000', '\\ud800', ':', '\n', '__proto__'],
    },
  ],
  async consume(folder) {
    for await (const { text } of readCorpus(path.join(folder, 'corpus')))
      if (text.trim() === '') throw new Error('a document is empty');
  },
};

/** Documents of other programs, each alone in its corpus: a refusal is fine. */
const documents: FuzzTarget = {
  name: 'documents',
  samples: () =>
    (
      [
        [
          'a.html',
          Buffer.from('<html><body><h1>One &amp; two</h1><ul><li>a<li>b</ul><table><tr><td>c</table></body></html>'),
        ],
        ['a.pdf', made('report.pdf')],
        ['a.docx', made('letter.docx')],
        ['a.txt.gz', gzipSync('First\n\nsecond')],
        ['a.jsonl.gz', gzipSync('{"text":"one"}\n{"content":"two"}\n')],
        ['a.txt', Buffer.from('\ufeffUTF-16 €', 'utf16le')],
      ] as const
    ).map(([name, content]) => ({ files: { [name]: content }, damaged: name, as: 'bytes' })),
  async consume(folder, damaged) {
    for await (const { text } of readCorpus(path.join(folder, damaged)))
      if (text.trim() === '') throw new Error('a document is empty');
  },
};

const recipe: FuzzTarget = {
  name: 'recipe',
  samples: () => [
    {
      files: {
        'recipe.json': readFileSync(path.join(import.meta.dirname, '../../../resources/demo/recipe.json'), 'utf8'),
      },
      damaged: 'recipe.json',
      as: 'json',
      words: ['classification', 'generation', 'i2_s', 'paper', 'none', 'cosine'],
    },
  ],
  consume(folder, damaged) {
    const bytes = readFileSync(path.join(folder, damaged));
    const parsed = parseRecipe(parseBoundedJson(bytes, 'The recipe'));
    if (JSON.stringify(parseRecipe(structuredClone(parsed))) !== JSON.stringify(parsed))
      throw new Error('a recipe that was read is not read back the same');
  },
};

const json = '[{"text":"a","label":1},{"text":["b","c"],"label":0},{"text":"d","label":null,"more":{"x":[1,{"y":2}]}}]';
export const datasetTargets: readonly FuzzTarget[] = [
  rows('csv', 'text', [
    'text,label\n"one, two",1\n"a ""b"" c",0\nthree,1\n',
    'text;label\r\n"one; two";1\r\n"line\r\nbreak";0\r\n',
  ]),
  rows('tsv', 'text', ['sentence\tlabel\nfirst "one\t1\nsecond\t0\r\n\r\nthird\t1\n']),
  rows('jsonl', 'text', [
    '{"text":"a","label":1}\n{"text":["b","c"],"label":0}\n{"text":"d","label":null}\n',
    '[\n{"text":"a","label":1},\n{"text":"b","label":0}\n]\n',
  ]),
  rows('json', 'json', [
    json,
    '{"x":{"text":"a","label":"1"},"y":{"text":"b","label":"0"}}',
    ...Object.values(pandasShapes).map((shape) => JSON.stringify(shape)),
    '{"version":1,"train":[{"text":"a"},{"text":"b"}],"test":[["text"],["c"]]}',
    '{"text":["a","b"],"label":["x","y"]}',
  ]),
  // Encodings: the same table in each, damaged as bytes.
  rows('txt', 'bytes', encodedTables),
  { ...rows('xlsx', 'bytes', [made('formula.xlsx'), made('tickets.xlsx'), unpacked()]), share: 0.1 },
  { ...rows('ods', 'bytes', [made('tickets.ods')]), share: 0.1 },
  rows('sqlite', 'bytes', [made('tickets.sqlite')]),
  classFolders,
  rows('parquet', 'bytes', [
    parquetFile('SNAPPY'),
    parquetFile('UNCOMPRESSED'),
    made('lz4.parquet'),
    made('classes.parquet'),
    made('duckdb.parquet'),
  ]),
  rows(
    'chats',
    'text',
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n{"messages":[{"role":"system","content":[{"type":"text","text":"c"}]}]}\n',
      '{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}],"tools":"[]"}\n',
      '{"chosen":"\\n\\nHuman: a\\n\\nAssistant: b","rejected":""}\n{"chosen":[{"role":"assistant","content":"b"}],"rejected":"c"}\n',
      '{"instruction":"a","input":"","output":"b","history":[["c","d"]]}\n',
    ],
    'rows.jsonl',
  ),
  corpus,
  documents,
  recipe,
];
