import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localPathsIn } from '../../contract/local-path.ts';
import { recipeSchema } from '../../contract/recipe.ts';
import { remoteRequest, wayDown } from '../../contract/remote.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { pack, weigh } from './travel.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-travel-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text = path): string {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

const optimiser = { learningRate: 1e-3, batchSize: 8 };
function recipe() {
  const teacher = dirname(write("Bob's Mödel/config.json"));
  const cached = dirname(write('models--Org--Name-1B/snapshots/abc/config.json'));
  for (const name of ['model.safetensors', 'tokenizer.model', 'LICENSE', 'pytorch_model.bin', 'runs/log.json'])
    write(`Bob's Mödel/${name}`);
  symlinkSync('model.safetensors', join(teacher, 'other.safetensors'));
  const corpus = dirname(write('texts/a.txt'));
  write('texts/deeper/b.txt');
  write('texts/.hidden/c.txt');
  const train = write('rows "of" today.tsv');
  return recipeSchema.parse({
    name: 'x',
    teacher,
    studentBase: cached,
    task: { name: 't', kind: 'classification', train, dev: write('dev.tsv'), textColumns: ['a'], labelColumn: 'b' },
    moreRows: { file: train, rows: 10 },
    finetune: null,
    refine: {},
    reconstruct: { corpus, steps: 2, optimiser },
    pretrain: { corpus, tokens: 100, optimiser },
    distil: { steps: 2, optimiser },
  });
}

describe('what travels', () => {
  it('is every file that the recipe names, once, and no path of this computer', async () => {
    const given = recipe();
    const luggage = pack(given);
    const travelling = luggage.recipe;
    const files = await weigh(luggage);
    const paths = localPathsIn(recipeSchema, travelling);
    expect(paths.toSorted()).toEqual([
      "0/Bob's Mödel",
      '1/models--Org--Name-1B/snapshots/abc',
      '2/rows "of" today.tsv',
      '3/dev.tsv',
      '4/texts',
    ]);
    expect(localPathsIn(recipeSchema, given)).toHaveLength(paths.length);
    expect(JSON.stringify(travelling)).not.toContain(folder);
    expect(files.map(({ path }) => path).toSorted()).toEqual([
      "0/Bob's Mödel/LICENSE",
      "0/Bob's Mödel/config.json",
      "0/Bob's Mödel/model.safetensors",
      "0/Bob's Mödel/other.safetensors",
      "0/Bob's Mödel/tokenizer.model",
      '1/models--Org--Name-1B/snapshots/abc/config.json',
      '2/rows "of" today.tsv',
      '3/dev.tsv',
      '4/texts/a.txt',
      '4/texts/deeper/b.txt',
    ]);
    for (const { path, sha256 } of files.filter(({ path }) => path.startsWith('4/')))
      expect(sha256).toBe(textSha256(path.slice(2)));
  });

  it.skipIf(process.platform === 'win32')('has no name that another system reads as a way', () => {
    const given = recipe();
    write('texts/a\\..\\b.txt');
    expect(() => pack(given)).toThrow(expect.objectContaining({ id: 'remote.odd-file' }));
  });
});

describe('a way down', () => {
  it.each(['../x', 'a/../../x', '/etc/passwd', 'a//b', './a', 'a/.', '', 'a\\b', 'a\0b', 'C:\\x'])(
    'is not %j',
    (path) => {
      expect(wayDown.safeParse(path).success).toBe(false);
      const file = { path, bytes: 1, from: 0, sha256: '0'.repeat(64) };
      expect(remoteRequest.safeParse({ type: 'start', id: 'a', recipe: {}, files: [file] }).success).toBe(false);
      expect(remoteRequest.safeParse({ type: 'get', id: 'a', files: [file] }).success).toBe(false);
    },
  );

  it.each(['..', 'a/b', '', '-a', 'A', 'a'.repeat(81)])('has no run called %j', (id) => {
    expect(remoteRequest.safeParse({ type: 'watch', id }).success).toBe(false);
  });
});
