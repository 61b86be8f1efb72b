/** What is written is what is read, for whatever names and values a file format allows (properties; the seed is printed when one fails). */
import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReadingOptions } from '../contract/table-reading.ts';
import { openDataset } from './datasets/index.ts';
import { type GgufValue, openGguf, writeGguf } from './gguf/index.ts';
import { openSafetensors, type TensorToWrite, writeSafetensors } from './safetensors/index.ts';

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-round-trips-'));
  file = join(folder, 'file');
});
afterAll(() => rmSync(folder, { recursive: true }));

const settings = { numRuns: 60 };
const hard = fc.constantFrom('__proto__', 'constructor', 'toString', '\u{1F999}', ' ', 'ä', '"', '\\', '{}', '../x');
const text = fc.oneof({ weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) }, hard);
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const sizeOf = (shape: readonly number[]) => shape.reduce((product, dimension) => product * dimension, 1);

describe('a safetensors file', () => {
  const itemBytes = { F32: 4, F16: 2, BF16: 2, U8: 1, I32: 4 } as const;
  const tensor = fc
    .record({
      name: text.filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...(Object.keys(itemBytes) as (keyof typeof itemBytes)[])),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
    })
    .chain(({ name, dtype, shape }) =>
      bytesOf(itemBytes[dtype] * sizeOf(shape)).map((bytes) => ({ name, dtype, shape, bytes })),
    );

  it('gives every tensor and the metadata back', async () => {
    const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(tensors, fc.array(fc.tuple(text, text), { maxLength: 4 }), async (written, pairs) => {
        const metadata = Object.fromEntries(pairs);
        const toWrite = written.map(({ bytes, ...rest }): TensorToWrite => ({ ...rest, data: () => bytes }));
        await writeSafetensors(file, toWrite, metadata);
        const read = await openSafetensors(file);
        try {
          expect([...read.tensors.keys()].sort()).toEqual(written.map(({ name }) => name).sort());
          expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort());
          for (const { name, dtype, shape, bytes } of written) {
            expect(read.tensors.get(name)).toMatchObject({ dtype, shape });
            expect(await read.readBytes(name)).toEqual(bytes);
          }
        } finally {
          await read.close();
        }
      }),
      settings,
    );
  });
});

describe('a GGUF file', () => {
  /** GGML_MAX_NAME of ggml.h, with its end: a grapheme may take many bytes. */
  const mostNameBytes = 64;
  const integers = {
    uint8: [0n, 255n],
    int8: [-128n, 127n],
    uint16: [0n, 65_535n],
    int16: [-32_768n, 32_767n],
    uint32: [0n, 2n ** 32n - 1n],
    int32: [-(2n ** 31n), 2n ** 31n - 1n],
    uint64: [0n, 2n ** 64n - 1n],
    int64: [-(2n ** 63n), 2n ** 63n - 1n],
  } as const;
  /** 64-bit numbers beyond the safe integers are read as bigint. */
  const asRead = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
  const integer = (name: keyof typeof integers) =>
    fc.bigInt({ min: integers[name][0], max: integers[name][1] }).map(asRead);
  const scalar: fc.Arbitrary<GgufValue> = fc.oneof(
    ...(Object.keys(integers) as (keyof typeof integers)[]).map((type) =>
      integer(type).map((value) => ({ type, value })),
    ),
    fc.float({ noNaN: true }).map((value) => ({ type: 'float32' as const, value })),
    fc.double({ noNaN: true }).map((value) => ({ type: 'float64' as const, value })),
    fc.boolean().map((value) => ({ type: 'bool' as const, value })),
    text.map((value) => ({ type: 'string' as const, value })),
  );
  const list: fc.Arbitrary<GgufValue> = fc.oneof(
    fc.array(integer('int32')).map((value) => ({ type: 'array' as const, items: 'int32' as const, value })),
    fc.array(integer('uint64')).map((value) => ({ type: 'array' as const, items: 'uint64' as const, value })),
    fc.array(text).map((value) => ({ type: 'array' as const, items: 'string' as const, value })),
    fc.array(fc.boolean()).map((value) => ({ type: 'array' as const, items: 'bool' as const, value })),
  );
  const tensor = fc
    .record({
      name: text.filter((name) => name !== '' && Buffer.byteLength(name) < mostNameBytes),
      type: fc.constantFrom('F32' as const, 'F16' as const),
      shape: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
    })
    .chain(({ name, type, shape }) =>
      bytesOf((type === 'F32' ? 4 : 2) * sizeOf(shape)).map((bytes) => ({ name, type, shape, bytes })),
    );

  it('gives every value of its metadata and every tensor back', async () => {
    const metadata = fc.uniqueArray(
      fc.tuple(
        text.map((key) => `key.${key}`),
        fc.oneof(scalar, list),
      ),
      {
        selector: ([key]) => key,
        maxLength: 8,
      },
    );
    const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(metadata, tensors, async (pairs, written) => {
        const toWrite = written.map(({ bytes, ...rest }) => ({ ...rest, data: () => bytes }));
        await writeGguf(file, new Map(pairs), toWrite);
        const read = await openGguf(file);
        try {
          expect([...read.metadata]).toEqual(pairs);
          expect([...read.tensors.keys()]).toEqual(written.map(({ name }) => name));
          for (const { name, type, shape, bytes } of written) {
            expect(read.tensors.get(name)).toMatchObject({ type, shape });
            expect(await read.readBytes(name)).toEqual(bytes);
          }
        } finally {
          await read.close();
        }
      }),
      settings,
    );
  });
});

describe('rows', () => {
  const columns = fc.uniqueArray(fc.stringMatching(/^[a-z]\w{0,8}$/), { minLength: 2, maxLength: 4 });
  const table = (cell: fc.Arbitrary<string>, names: fc.Arbitrary<string[]> = columns) =>
    names.chain((header) =>
      fc.record({
        header: fc.constant(header),
        rows: fc.array(fc.array(cell, { minLength: header.length, maxLength: header.length }), {
          minLength: 1,
          maxLength: 8,
        }),
      }),
    );
  const cell = fc.oneof(text, fc.constantFrom(',', ';', '\n', '\r\n', '\r', '""', '\t', 'a "b" c', ' , '));
  const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;

  /** @param reading a table's names are in its first line: a name that comes again as a cell would make that a guess */
  async function readBack(
    name: string,
    content: string,
    header: readonly string[],
    reading: ReadingOptions = { header: 1 },
  ): Promise<string[][]> {
    const path = join(folder, name);
    writeFileSync(path, content);
    const dataset = await openDataset(path, reading);
    expect(dataset.columns).toEqual(header);
    const rows: string[][] = [];
    for await (const { values } of dataset.rows()) rows.push(header.map((column) => values[column]!));
    return rows;
  }

  it.each([
    [',', '\n'],
    [';', '\r\n'],
  ])('of CSV come back, with "%s" and whatever the cells hold', async (delimiter, lineEnd) => {
    await fc.assert(
      fc.asyncProperty(table(cell), async ({ header, rows }) => {
        const lines = [header, ...rows].map((fields) => fields.map(quoted).join(delimiter));
        expect(await readBack('rows.csv', lines.join(lineEnd) + lineEnd, header)).toEqual(rows);
      }),
      settings,
    );
  });

  it('of TSV come back, quotation marks and all', async () => {
    const plain = cell.map((value) => value.replaceAll(/[\t\r\n]/g, ' '));
    await fc.assert(
      fc.asyncProperty(table(plain), async ({ header, rows }) => {
        const lines = [header, ...rows].map((fields) => fields.join('\t'));
        expect(await readBack('rows.tsv', `${lines.join('\n')}\n`, header)).toEqual(rows);
      }),
      settings,
    );
  });

  it('of JSONL come back under any names, as text', async () => {
    const names = fc.uniqueArray(text, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        table(fc.oneof(text, fc.constantFrom('\ud800', '\u0000', '\n', '\ufeff')), names),
        async ({ header, rows }) => {
          const lines = rows.map((row) =>
            JSON.stringify(Object.fromEntries(header.map((name, at) => [name, row[at]!]))),
          );
          const order = Object.keys(Object.fromEntries(header.map((name) => [name, ''])));
          const expected = rows.map((row) => order.map((name) => row[header.indexOf(name)]!));
          expect(await readBack('rows.jsonl', `${lines.join('\n')}\n`, order, {})).toEqual(expected);
        },
      ),
      settings,
    );
  });
});
