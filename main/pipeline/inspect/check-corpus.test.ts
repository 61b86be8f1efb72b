import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { corpusSize } from './corpus-size.ts';
import { checkCorpus } from './check-corpus.ts';
import { tokeniseCorpus, corpusNotes } from '../stages/corpus-tokens.ts';

const teacher = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
const footer = 'Subscribe to our newsletter today!';
const long = 'This paragraph is long enough to be looked for elsewhere.';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-check-corpus-'));
  mkdirSync(join(folder, 'deep'));
  for (let i = 0; i < 6; i++)
    writeFileSync(
      join(folder, 'deep', `page-${i}.html`),
      `<p>Page number ${i} of this site.</p><p>${long}</p><p>${footer}</p>`,
    );
  writeFileSync(join(folder, 'a.txt'), `First text.\n\n${long}\n`);
  writeFileSync(join(folder, 'b.txt'), `First text.\n\n${long}\n`);
  // Text in UTF-8 with a damaged place: in a code page that is one, it would be read as it is.
  writeFileSync(join(folder, 'latin.txt'), Buffer.concat([Buffer.from('Grüße, schöne Grüße '), Buffer.of(0xfc)]));
  writeFileSync(join(folder, 'rows.jsonl'), '{"text":"A row."}\n{"n":1}\n');
  writeFileSync(join(folder, 'damaged.pdf'), '%PDF-1.4 and no more');
  writeFileSync(join(folder, 'photo.png'), Buffer.from('89504e470d0a1a0a', 'hex'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the check of a corpus', () => {
  it('says what is read, what repeats, what is left out, and shows the text', async () => {
    const report = await checkCorpus({ corpus: folder, teacher });
    expect(report.kinds.map(({ kind, files }) => [kind, files])).toEqual([
      ['text', 3],
      ['pdf', 1],
      ['html', 6],
      ['rows', 1],
    ]);
    expect(report.otherFiles).toEqual([{ ending: '.png', files: 1, examples: ['photo.png'] }]);
    expect(report).toMatchObject({
      failedFiles: 1,
      skippedRows: 1,
      undecodable: 1,
      complete: true,
      documents: 10,
      repeatedDocuments: 1,
      paragraphs: 8,
      repeatedParagraphs: 7,
      repeatedCharacters: 7 * long.length,
    });
    expect(report.failures[0]!.text).toContain('damaged.pdf');
    expect(report.boilerplate).toEqual([
      { line: long, times: 8 },
      { line: footer, times: 6 },
    ]);
    expect(report.preview.slice(0, 3)).toEqual([
      { file: 'a.txt', text: `First text.\n\n${long}\n` },
      { file: 'deep/page-0.html', text: `Page number 0 of this site.\n\n${long}\n\n${footer}` },
      { file: 'rows.jsonl', text: 'A row.' },
    ]);
  });

  it('counts the tokens that training reads, and training says the same of what is left out', async () => {
    const { tokens } = await checkCorpus({ corpus: folder, teacher });
    const path = join(folder, 'tokens');
    const file = await tokeniseCorpus(folder, await loadTokenizer(teacher), path, 1e6, 'key', () => Promise.resolve());
    expect(file.tokens).toBe(tokens);
    expect(corpusNotes(file)).toEqual([
      '1 rows of the corpus hold no text and are left out.',
      '1 files of the corpus could not be read:',
      expect.stringContaining('damaged.pdf'),
    ]);
    await file.close();
    rmSync(path);
    rmSync(`${path}.json`);
  });

  it('names the files that are not in UTF-8, and their encodings', async () => {
    const own = join(folder, 'encodings');
    mkdirSync(own);
    const greeting = 'Schöne Grüße aus Köln: für Jürgen wäre es schön, wenn Bärbel käme.\n';
    writeFileSync(join(own, 'a.txt'), greeting);
    for (const name of ['b.txt', 'c.txt']) writeFileSync(join(own, name), Buffer.from(greeting.repeat(20), 'latin1'));
    writeFileSync(join(own, 'd.jsonl'), Buffer.from(`\ufeff${JSON.stringify({ text: greeting })}\n`, 'utf16le'));
    const report = await checkCorpus({ corpus: own });
    expect(report.encodings).toEqual([
      { encoding: 'windows-1252', files: 2, examples: ['b.txt', 'c.txt'] },
      { encoding: 'utf-16le', files: 1, examples: ['d.jsonl'] },
    ]);
    expect(report).toMatchObject({ documents: 4, undecodable: 0 });
    rmSync(own, { recursive: true });
  });

  it('refuses a corpus without text', async () => {
    const empty = join(folder, 'deep', 'empty.txt');
    writeFileSync(empty, ' \n');
    await expect(checkCorpus({ corpus: empty })).rejects.toMatchObject({ code: 'bad-input' });
    rmSync(empty);
    await expect(checkCorpus({ corpus: join(folder, 'photo.png') })).rejects.toThrow(/a picture/);
  });

  it('is weighed for estimates by how much of its files is text', async () => {
    expect(await corpusSize(join(folder, 'a.txt'))).toBe(`First text.\n\n${long}\n`.length);
    expect(await corpusSize(join(folder, 'deep'))).toBeLessThan(6 * 140);
  });
});
