/** Pruning with a vocabulary of real size: Qwen2's tokenizer on SST-2 (shared data; skipped where it is absent). */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { embeddingName } from '../../models/parameters.ts';
import { prepareTask } from '../task-data.ts';
import { tinyConfiguration, tinyParameters, writeTinySource } from './fixtures.ts';
import { writeGgufModel } from './gguf-file.ts';
import { prunedAnswersCheck, prunedTensors, pruneVocabulary } from './pruned-model.ts';
import { tensorsInMemory } from './tensor-source.ts';

const shared = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));
const tokenizer = join(shared, 'tokenizers', 'qwen2-0.5b');
const sst2 = join(shared, 'tasks', 'sst2');

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-prune-'));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe.skipIf(!existsSync(tokenizer) || !existsSync(sst2))('a student with 151 646 tokens', () => {
  it('keeps what SST-2 uses, answers the same, and is at least 10x smaller than the teacher’s F16 file', async () => {
    const source = join(root, 'source');
    const shape = { architecture: 'qwen3', layers: 1, hiddenSize: 128, heads: 1, kvHeads: 1, ffnSize: 128 };
    const full = { ...tinyConfiguration(shape), vocabSize: 151_646 };
    await writeTinySource(source, full);
    for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json'])
      if (existsSync(join(tokenizer, name))) cpSync(join(tokenizer, name), join(source, name));
    const task = await prepareTask(
      taskSettings.parse({
        name: 'sst2',
        kind: 'classification',
        train: join(sst2, 'dev.tsv'),
        devFraction: 0.1,
        textColumns: ['sentence'],
        labelColumn: 'label',
        maxLength: 64,
      }),
      await loadTokenizer(source),
      1,
    );
    const pruned = await pruneVocabulary(source, full, task, join(root, 'tokenizer'));
    expect(pruned.kept.length).toBeGreaterThan(2000);
    expect(pruned.kept.length).toBeLessThan(8000);

    const layers = tensorsInMemory(tinyParameters(tinyConfiguration(shape)));
    const table = new Float32Array(full.vocabSize * full.hiddenSize);
    for (let index = 0; index < table.length; index += 1)
      table[index] = ((Math.imul(index, 2654435761) >>> 8) % 2001) / 1e4 - 0.1;
    const read = (name: string) => (name === embeddingName ? Promise.resolve(table) : layers.read(name));
    const student = { read, close: () => Promise.resolve() };
    // The teacher's tensors are among the student's.
    const check = await prunedAnswersCheck(full, student, pruned, task, null, 1);
    expect(check).toMatchObject({ name: 'accuracy', passed: true });
    expect(check.figures.sameAnswers).toBe(check.figures.rows);
    expect(check.figures.accuracyAfter).toBe(check.figures.accuracyBefore);

    const teacher = { ...full, ternary: false, subln: 'none' } as const;
    const [large, small] = [join(root, 'teacher.gguf'), join(root, 'student.gguf')];
    await writeGgufModel(
      large,
      { name: 'teacher', configuration: teacher, tensors: student, tokenizer: source },
      { linear: 'F16', embedding: 'F16' },
    );
    await writeGgufModel(
      small,
      {
        name: 'student',
        configuration: pruned.configuration,
        tensors: prunedTensors(student, pruned.kept, full.hiddenSize),
        tokenizer: pruned.tokenizer,
      },
      { linear: 'I2_S', embedding: 'Q8_0' },
    );
    expect((await stat(large)).size / (await stat(small)).size).toBeGreaterThan(10);
  }, 60_000);
});
