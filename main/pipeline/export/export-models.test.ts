/** The export job on real task rows: a random student with SubLN, its teacher, every type; pruning; stops in the middle. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent } from '../../contract/jobs.ts';
import { type ExportSettings, type Recipe, recipeSchema } from '../../contract/recipe.ts';
import type { ExportedFile } from '../../contract/results.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { readExportList, readFailedExports, readStoredComparison } from '../../experiment/results.ts';
import { JobStopped } from '../job.ts';
import { measureModel } from '../evaluate/measure.ts';
import { prepareTask } from '../task/task-data.ts';
import { exportModels } from './export-models.ts';
import { assertExportable } from './export-targets.ts';
import {
  tinyConfiguration,
  tinyParameters,
  tokenizerFolder,
  writeTinySource,
} from '../../models/fixtures/tiny-model.ts';

let root: string;
let base: string;

const demoTask = new URL('../../../resources/demo/task/', import.meta.url);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-exports-'));
  base = join(root, 'base');
  const teacher = tinyConfiguration({ ternary: false, subln: 'none' });
  await writeTinySource(base, teacher);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(tokenizerFolder, name), join(base, name));
  const source = join(root, 'source');
  cpSync(base, source, { recursive: true });
  await saveModelFolder(base, source, teacher, tinyParameters(teacher));
  const student = tinyConfiguration();
  mkdirSync(join(root, 'experiment'));
  await saveModelFolder(join(root, 'experiment', 'student'), source, student, tinyParameters(student, 7));
  const lines = readFileSync(new URL('train.tsv', demoTask), 'utf8').split('\n');
  writeFileSync(join(root, 'train.tsv'), `${lines.slice(0, 41).join('\n')}\n`);
  writeFileSync(join(root, 'dev.tsv'), `${[lines[0], ...lines.slice(41, 61)].join('\n')}\n`);
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function recipeWith(exports: ExportSettings[]): Recipe {
  const optimiser = { learningRate: 1e-3 };
  return recipeSchema.parse({
    name: 'tiny',
    teacher: base,
    threads: 1,
    task: {
      name: 'tickets',
      kind: 'classification',
      train: join(root, 'train.tsv'),
      dev: join(root, 'dev.tsv'),
      textColumns: ['text'],
      labelColumn: 'queue',
      maxLength: 48,
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { optimiser },
    baseline: false,
    exports,
  });
}

async function run(exports: ExportSettings[], stopAfter = Number.POSITIVE_INFINITY) {
  const events: JobEvent[] = [];
  const folder = join(root, 'experiment');
  let asked = 0;
  await exportModels(
    { kind: 'export', recipe: recipeWith(exports), folder },
    {
      emit: (event) => events.push(event),
      stopRequested: () => ((asked += 1) > stopAfter ? 'cancel' : null),
    },
  );
  return { events, files: readExportList(folder)! };
}

const named = (files: ExportedFile[], path: string): ExportedFile =>
  files.find((file) => file.path === join('exports', path))!;

describe('the export job', () => {
  it('writes every type that was asked for, each with its proofs, and what models are measured with first', async () => {
    const { files, events } = await run([
      { type: 'tq1_0', embedding: 'q8_0' },
      { type: 'tq2_0', embedding: 'q6_k' },
      { type: 'hf', embedding: 'f16' },
      { type: 'onnx', embedding: 'f16' },
      { type: 'q8_0', embedding: 'q8_0' },
      { type: 'q4_0', embedding: 'q6_k' },
    ]);
    expect(new Set(files.map(({ model, type }) => `${model} ${type}`))).toEqual(
      new Set([
        'bitdistill tq1_0',
        'bitdistill tq2_0',
        'bitdistill hf',
        'bitdistill onnx',
        'teacher q8_0',
        'teacher q4_0',
      ]),
    );
    expect(files.find(({ model }) => model === 'bitdistill')!.type).toBe('tq1_0');
    expect(files.find(({ model }) => model === 'teacher')!.type).toBe('q8_0');
    for (const { verified, checks } of files) {
      expect(verified).toBe(true);
      expect(checks!.every(({ passed }) => passed)).toBe(true);
    }
    const runtime = named(files, 'bitdistill-tq2_0-q6_k.gguf').checks!.find(({ name }) => name === 'runtime')!;
    expect(runtime.figures).toMatchObject({ prompts: 20, tokens: 160, unexplainedTokens: 0 });
    expect(named(files, 'bitdistill-onnx.onnx').checks![0]!.figures).toMatchObject({ prompts: 20 });
    const card = readFileSync(join(root, 'experiment', 'exports', 'bitdistill-hf', 'README.md'), 'utf8');
    expect(card).toContain('task "tickets"');
    expect(card).not.toContain(root);
    expect(events.filter(({ type }) => type === 'artifact')).toHaveLength(6);
    expect(readdirSync(join(root, 'experiment', 'exports')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('keeps the files of earlier sessions in the list while they are of the same weights', async () => {
    const { files } = await run([{ type: 'i2_s', embedding: 'f16' }]);
    expect(files.map(({ path }) => path)).toEqual(
      expect.arrayContaining(
        ['bitdistill-i2_s.gguf', 'teacher-f16.gguf', 'bitdistill-hf', 'bitdistill-tq1_0-q8_0.gguf'].map((name) =>
          join('exports', name),
        ),
      ),
    );
  });

  it('leaves nothing new when it is stopped in the middle', async () => {
    rmSync(join(root, 'experiment', 'exports'), { recursive: true });
    await expect(run([{ type: 'i2_s', embedding: 'f16' }], 30)).rejects.toBeInstanceOf(JobStopped);
    await expect(
      run(
        [
          { type: 'hf', embedding: 'f16' },
          { type: 'i2_s', embedding: 'f16' },
        ],
        5,
      ),
    ).rejects.toBeInstanceOf(JobStopped);
    await expect(run([{ type: 'onnx', embedding: 'f16' }], 30)).rejects.toBeInstanceOf(JobStopped);
    expect(readdirSync(join(root, 'experiment', 'exports'))).toEqual([]);
  });

  it.each(['i2_s', 'hf', 'onnx'] as const)('leaves nothing when writing %s fails in the middle', async (type) => {
    const folder = join(root, `failing-${type}`);
    const student = tinyConfiguration();
    const parameters = tinyParameters(student, 7);
    parameters.view('model.layers.1.mlp.down_proj.weight')[5] = Number.NaN;
    await saveModelFolder(join(folder, 'student'), join(root, 'source'), student, parameters);
    const context = { emit: () => undefined, stopRequested: () => null };
    const recipe = recipeWith([{ type, embedding: 'f16' }]);
    await expect(exportModels({ kind: 'export', recipe, folder }, context)).rejects.toMatchObject({
      code: 'damaged',
    });
    expect(readdirSync(join(folder, 'exports'))).toEqual([]);
  });
});

describe('pruning the vocabulary', () => {
  it('shrinks embedding and tokenizer, and changes no answer', async () => {
    const settings = { embedding: 'f16', pruneVocabulary: true } as const;
    const { files } = await run([
      { type: 'i2_s', ...settings },
      { type: 'hf', ...settings },
      { type: 'onnx', ...settings },
    ]);
    const pruned = named(files, 'bitdistill-i2_s-pruned.gguf');
    const { tokensBefore, tokensAfter, savedBytes } = pruned.pruning!;
    expect(tokensBefore).toBe(1536);
    expect(tokensAfter).toBeLessThan(1200);
    expect(tokensAfter).toBeGreaterThan(256);
    expect(savedBytes).toBe((tokensBefore - tokensAfter) * 256 * 2);
    expect(pruned.checks!.map(({ name }) => name)).toEqual(['tensors', 'parser', 'runtime', 'accuracy']);
    expect(pruned.checks![3]!.figures).toMatchObject({ rows: 20, sameAnswers: 20 });

    const file = await openGguf(join(root, 'experiment', pruned.path));
    expect(file.tensors.get('token_embd.weight')!.shape).toEqual([tokensAfter, 256]);
    const tokens = file.metadata.get('tokenizer.ggml.tokens')!.value as string[];
    expect(tokens).toHaveLength(tokensAfter);
    await file.close();

    // The tokenizer of the folder splits the task's rows into the same pieces, and other text into bytes at worst.
    const folder = join(root, 'experiment', named(files, 'bitdistill-hf-pruned').path);
    const small = await loadTokenizer(folder, { vocabSize: tokensAfter });
    const full = await loadTokenizer(base);
    const { dev } = await prepareTask(recipeWith([]).task, full, 1);
    for (const { prompt } of dev.filter(({ prompt: ids }) => ids.length < 47)) {
      const text = full.decode(prompt);
      expect(small.encode(text).map((id) => small.idToToken(id))).toEqual(
        full.encode(text).map((id) => full.idToToken(id)),
      );
    }
    const other = 'Ünïcode ✓ text that no ticket holds: 你好';
    expect(small.decode(small.encode(other))).toBe(full.decode(full.encode(other)));
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { vocab_size: number };
    expect(config.vocab_size).toBe(tokensAfter);
  });
});

describe('an export that fails after the training', () => {
  it('is written down in words, and the student is measured all the same', async () => {
    const folder = join(root, 'failed');
    // Heads of a size that "bitnet" can't say: a recipe that was started by a version without the check.
    const student = tinyConfiguration({ headSize: 32 });
    const source = join(root, 'other-source');
    cpSync(join(root, 'source'), source, { recursive: true });
    await writeTinySource(source, student);
    await saveModelFolder(join(folder, 'student'), source, student, tinyParameters(student, 7));
    const recipe = recipeWith([
      { type: 'tq2_0', embedding: 'f16' },
      { type: 'hf', embedding: 'f16' },
    ]);
    const context = { emit: () => undefined, stopRequested: () => null };
    const found = await exportModels({ kind: 'export', recipe, folder }, context);
    expect(found).toEqual({ files: 3, verified: false });
    const failed = readFailedExports(folder);
    expect(failed).toMatchObject([{ model: 'bitdistill', type: 'tq2_0', problem: { id: 'export.bitnet-shape' } }]);
    expect(readStoredComparison(folder)).toMatchObject({ export: null, failedExports: failed });
    expect(readExportList(folder)!.map(({ path, own }) => [path, own])).toEqual([
      [join('exports', 'bitdistill-measured.gguf'), true],
      [join('exports', 'teacher-f16.gguf'), undefined],
      [join('exports', 'bitdistill-hf'), undefined],
    ]);
    const measured = await measureModel('bitdistill', { kind: 'measure-student', recipe, folder }, context);
    expect(measured).toMatchObject({ decodeTokensPerSecond: expect.any(Number) as number });

    // Asked for alone it fails, as a person waits for it.
    const again = { ...recipe, exports: [...recipe.exports] };
    await expect(
      exportModels({ kind: 'export', recipe: again, folder, exports: [recipe.exports[0]!] }, context),
    ).rejects.toMatchObject({ code: 'unsupported' });
    expect(readFailedExports(folder)).toEqual(failed);
  });
});

describe('a student that no GGUF file can hold (Llama, SubLN before all seven projections)', () => {
  const asking = (exports: ExportSettings[]): Recipe => ({
    ...recipeWith(exports),
    refine: { subln: 'all', sublnInit: 'ones', dropQkvBias: false },
  });

  it('is refused before the training where such a file is asked for', async () => {
    await expect(assertExportable(asking([{ type: 'i2_s', embedding: 'f16' }]))).rejects.toThrow(
      /all seven projections/,
    );
    await expect(assertExportable(asking([{ type: 'hf', embedding: 'f16' }]))).resolves.toBeUndefined();
  });

  it('is exported as it can be, and measured from a file of our own that no other program takes', async () => {
    const folder = join(root, 'unfit');
    const configuration = tinyConfiguration({ subln: 'all' });
    mkdirSync(folder);
    await saveModelFolder(
      join(folder, 'student'),
      join(root, 'source'),
      configuration,
      tinyParameters(configuration, 7),
    );
    const recipe = asking([{ type: 'hf', embedding: 'f16' }]);
    const warnings: string[] = [];
    const context = {
      emit: (event: JobEvent) => {
        if (event.type === 'log' && event.level === 'warning') warnings.push(event.text);
      },
      stopRequested: () => null,
    };
    await exportModels({ kind: 'export', recipe, folder }, context);
    const files = readExportList(folder)!;
    const ofStudent = files.filter(({ model }) => model === 'bitdistill');
    expect(ofStudent.map(({ type, own, path }) => [type, own ?? false, path])).toEqual([
      ['i2_s', true, join('exports', 'bitdistill-measured.gguf')],
      ['hf', false, join('exports', 'bitdistill-hf')],
    ]);
    expect(warnings.join()).toMatch(/bitdistill-measured: It is written for Tritsmith alone/);
    expect(ofStudent[0]!.checks!.map(({ name, passed }) => [name, passed])).toContainEqual(['runtime', true]);
    expect(ofStudent[0]!.verdicts!.filter(({ runs }) => runs).map(({ program }) => program)).toEqual(['Tritsmith']);
    const measured = await measureModel('bitdistill', { kind: 'measure-student', recipe, folder }, context);
    expect(measured).toMatchObject({ threads: 1, decodeTokensPerSecond: expect.any(Number) as number });
  });
});
