import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hubFamilies } from '../../contract/hub.ts';
import { architectures } from '../../models/architectures/index.ts';
import { foreseeTeacher, inspectTeacher } from './inspect-teacher.ts';

const demo = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
const shared = fileURLToPath(new URL('../../../../shared/data', import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-teacher-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the card of a teacher', () => {
  it.skipIf(!existsSync(join(shared, 'models')))('counts the tied alias case of story-656k once', async () => {
    const card = await inspectTeacher(join(shared, 'models', 'story-656k'));
    expect(card).toMatchObject({
      supported: true,
      architecture: 'Llama',
      layers: 2,
      hiddenSize: 128,
      vocabularySize: 2048,
      contextLength: 512,
      tiedEmbedding: true,
      weightTypes: ['F32'],
      weightFiles: 1,
    });
    // By hand: per layer q, o 128 x 128, k, v 64 x 128, gate, up, down 384 x 128; embedding 2048 x 128; 5 norms of 128.
    const body = 2 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128);
    expect(card.bodyParameters).toBe(body);
    expect(card.parameters).toBe(body + 2048 * 128 + 5 * 128);
    expect(card.student.bodyBytes).toBe(body / 4 + 14 * 32);
    expect(card.student.fileBytes).toBeGreaterThan(card.student.bodyBytes + 2048 * 128 * 2);
    expect(card.tokenizer?.tokens).toBe(2048);
  });

  it.skipIf(!existsSync(join(demo, 'model.safetensors')))(
    'accepts the demo teacher and shows its licence',
    async () => {
      const card = await inspectTeacher(demo);
      expect(card.supported).toBe(true);
      expect(card.tokenizer).not.toBeNull();
    },
  );

  it('reads no more than the beginning of a model card, and waits for no pipe in its place', async () => {
    cpSync(demo, folder, { recursive: true });
    const readme = join(folder, 'README.md');
    writeFileSync(readme, `---\nlicense: ${'long '.repeat(1000)}\n---\n`);
    truncateSync(readme, 100e9);
    expect((await inspectTeacher(folder)).licence).toMatch(/^(long ?){20}$/);
    if (process.platform === 'win32') return;
    rmSync(readme);
    execFileSync('mkfifo', [readme]);
    expect((await inspectTeacher(folder)).supported).toBe(true);
  });

  it('refuses another architecture by name and lists what is supported', async () => {
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'mamba' }));
    const card = await inspectTeacher(folder);
    expect(card.supported).toBe(false);
    expect(card.architecture).toBe('mamba');
    expect(card.problem).toMatchObject({ id: 'model.unknown-type', params: { type: 'mamba' } });
    expect(card.problem?.text).toMatch(/llama.*qwen2.*qwen3/);
  });

  it('says that an empty folder holds no model', async () => {
    await expect(inspectTeacher(folder)).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('the card of a model that is still elsewhere', () => {
  const remote = (configuration: string) =>
    foreseeTeacher({
      folder: demo,
      configuration,
      gguf: null,
      licence: 'mit',
      weightBytes: statSync(join(demo, 'model.safetensors')).size,
      weightFiles: 1,
      tokenizerBytes: statSync(join(demo, 'tokenizer.json')).size,
      weightTypes: [],
      original: null,
    });

  it('is the one that it gets once it is here, but for what only its files tell', async () => {
    const card = await inspectTeacher(demo);
    expect(remote(readFileSync(join(demo, 'config.json'), 'utf8'))).toEqual({
      ...card,
      tokenizer: null,
      weightTypes: [],
    });
  });

  it('refuses what the engine lacks, and what is no configuration', () => {
    expect(remote('{"model_type":"mamba"}')).toMatchObject({ supported: false, architecture: 'mamba' });
    expect(remote('<html>')).toMatchObject({ supported: false, architecture: 'unknown' });
  });

  it('is searched for among the families that can be read', () => {
    expect([...hubFamilies].sort()).toEqual(architectures.map(({ modelType }) => modelType).sort());
  });
});
