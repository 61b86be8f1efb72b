/** Pruning the vocabulary: with one of real size, Qwen2's on SST-2 (shared data; skipped where it is absent), and of students that write. */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskSettings } from '../../contract/recipe.ts';
import { generateRows } from '../../evaluation/answer-classes.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import { embeddingName } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { prepareTask, type PreparedTask } from '../task/task-data.ts';
import {
  tinyConfiguration,
  tinyParameters,
  tinyPrompts,
  tokenizerFolder,
  writeTinySource,
} from '../../models/fixtures/tiny-model.ts';
import { ggufModelBytes, writeGgufModel } from './gguf-file.ts';
import { prunedAnswersCheck, prunedTensors, pruneVocabulary } from './pruned-model.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import type { TensorSource } from './tensor-source.ts';

const shared = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));
const tokenizer = join(shared, 'tokenizers', 'qwen2-0.5b');
const sst2 = join(shared, 'tasks', 'sst2');

/** SST-2 in tokens of the folder's tokenizer. */
function sst2Task(loaded: Tokenizer, files: { train: string; dev?: string }): Promise<PreparedTask> {
  const settings = taskSettings.parse({
    name: 'sst2',
    kind: 'classification',
    ...files,
    devFraction: 0.1,
    textColumns: ['sentence'],
    labelColumn: 'label',
    maxLength: 64,
  });
  return prepareTask(settings, loaded, 1);
}

async function writeQwenSource(source: string, configuration: ModelConfiguration): Promise<void> {
  await writeTinySource(source, configuration);
  for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json'])
    cpSync(join(tokenizer, name), join(source, name));
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-prune-'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe.skipIf(!existsSync(tokenizer) || !existsSync(sst2))('a vocabulary of 151 646 tokens', () => {
  it('shrinks to what the task uses, with every answer and the accuracy unchanged; sizes foretold are those of the files', async () => {
    const source = join(root, 'source');
    const shape = { architecture: 'qwen3', layers: 1, hiddenSize: 128, heads: 1, kvHeads: 1, ffnSize: 128 };
    const full = { ...tinyConfiguration(shape), vocabSize: 151_646 };
    await writeQwenSource(source, full);
    const task = await sst2Task(await loadTokenizer(source), { train: join(sst2, 'dev.tsv') });
    const pruned = await pruneVocabulary(source, full, task, join(root, 'tokenizer'));
    expect(pruned.kept.length).toBeGreaterThan(2000);
    expect(pruned.kept.length).toBeLessThan(8000);

    const layers = tensorsInMemory(tinyParameters(tinyConfiguration(shape)));
    const table = new Float32Array(full.vocabSize * full.hiddenSize);
    for (let index = 0; index < table.length; index += 1)
      table[index] = ((Math.imul(index, 2654435761) >>> 8) % 2001) / 1e4 - 0.1;
    const read = (name: string) => (name === embeddingName ? Promise.resolve(table) : layers.read(name));
    const student = { read, close: () => Promise.resolve() };
    const whole = { configuration: full, source: student, endId: null };
    const check = await prunedAnswersCheck(whole, pruned, task, { threads: 1 });
    expect(check).toMatchObject({ name: 'accuracy', passed: true });
    expect(check.figures).toMatchObject({ rows: task.dev.length, sameAnswers: task.dev.length });
    expect(check.figures.accuracyAfter).toBe(check.figures.accuracyBefore);

    // A student that is known to answer otherwise is found out.
    const known = task.dev.map(() => 0);
    const other = await prunedAnswersCheck(whole, pruned, task, { threads: 1, known });
    expect(other).toMatchObject({ passed: false, figures: { accuracyAfter: check.figures.accuracyAfter } });

    const path = join(root, 'student.gguf');
    const model = {
      name: 'student',
      configuration: pruned.configuration,
      tensors: prunedTensors(student, pruned.kept, full.hiddenSize),
      tokenizer: pruned.tokenizer,
    };
    await writeGgufModel(path, model, { linear: 'I2_S', embedding: 'Q8_0' });
    expect(await ggufModelBytes(model, { linear: 'I2_S', embedding: 'Q8_0' })).toBe((await stat(path)).size);
  });

  it("of Qwen3-0.6B's shape: TQ1_0 files are more than ten times smaller than the teacher's F16 file, I2_S files not quite", async () => {
    const teacher: ModelConfiguration = {
      ...tinyConfiguration({ architecture: 'qwen3', ternary: false, subln: 'none' }),
      ...{ vocabSize: 151_936, hiddenSize: 1024, layers: 28, heads: 16, kvHeads: 8, headSize: 128, ffnSize: 3072 },
      ...{ maxPositions: 40_960, ropeTheta: 1e6 },
    };
    const student = { ...teacher, ternary: true, subln: 'paper' } as const;
    const source = join(root, 'qwen3');
    await writeQwenSource(source, teacher);
    const loaded = await loadTokenizer(source);
    const pruned = await pruneVocabulary(
      source,
      student,
      await sst2Task(loaded, { train: join(sst2, 'train.tsv'), dev: join(sst2, 'dev.tsv') }),
      join(root, 'qwen3-pruned'),
    );
    // Sizes are those that the writer allots; weights have no part in them.
    const tensors: TensorSource = {
      read: () => Promise.reject(new Error('not asked for')),
      close: () => Promise.resolve(),
    };
    const teacherBytes = await ggufModelBytes(
      { name: 'teacher', configuration: teacher, tensors, tokenizer: loaded },
      { linear: 'F16', embedding: 'F16' },
    );
    expect(teacherBytes).toBeGreaterThan(2 * 596_049_920);
    const { configuration, tokenizer: small } = pruned;
    const times = async (linear: 'I2_S' | 'TQ1_0', embedding: 'Q8_0' | 'Q6_K'): Promise<number> =>
      teacherBytes /
      (await ggufModelBytes({ name: 'student', configuration, tensors, tokenizer: small }, { linear, embedding }));
    expect(pruned.kept.length).toBe(17_721);
    expect(await times('TQ1_0', 'Q6_K')).toBeGreaterThan(10.9);
    expect(await times('TQ1_0', 'Q8_0')).toBeGreaterThan(10.5);
    const i2s = await times('I2_S', 'Q6_K');
    expect(i2s).toBeGreaterThan(9.4);
    expect(i2s).toBeLessThan(10);
  });
});

describe('a student that writes', () => {
  const configuration = tinyConfiguration();
  const source = tensorsInMemory(tinyParameters(configuration));
  const task = (referenceIds: Int32Array): PreparedTask => ({
    key: '',
    labels: null,
    drawnFrom: null,
    trainRows: 0,
    train: () => Readable.from([]),
    texts: () => Promise.resolve({ rows: [], taken: () => null }),
    dev: tinyPrompts(4, 1536).map((prompt) => ({ prompt, label: -1, reference: '', referenceIds })),
    notes: [],
  });
  const whole = { configuration, source, endId: null };

  it('passes while it writes what the task holds, and is refused with the reason where it writes anything else', async () => {
    await writeTinySource(join(root, 'writer'), configuration);
    cpSync(join(tokenizerFolder, 'tokenizer.json'), join(root, 'writer', 'tokenizer.json'));
    const check = async (own: PreparedTask, name: string) => {
      const pruned = await pruneVocabulary(join(root, 'writer'), configuration, own, join(root, name));
      expect(pruned.kept.length).toBeLessThan(1536);
      return prunedAnswersCheck(whole, { ...pruned, tokenizer: { ...pruned.tokenizer, eosId: null } }, own, {
        threads: 1,
      });
    };
    const foreign = await check(task(new Int32Array()), 'foreign');
    expect(foreign).toMatchObject({ passed: false, figures: { rows: 4 } });
    expect(foreign.text).toMatch(/writes tokens that no row of the task holds/);

    const network = await Network.create(configuration, tinyParameters(configuration), {
      threads: 1,
      mode: 'inference',
    });
    const head = await ScoringHead.create(network, { threads: 1 });
    const prompts = task(new Int32Array()).dev.map(({ prompt }) => prompt);
    const written = await generateRows(network, head, prompts, null, 32);
    await head.release();
    await network.release();
    const own = await check(task(Int32Array.from(written.flat())), 'own');
    expect(own).toMatchObject({ passed: true, figures: { rows: 4, sameAnswers: 4 } });
  });
});
