/** The whole pipeline from a GGUF file: the student is, bit for bit, the one that a folder with the same weights gives. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Recipe } from '../../contract/recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { makeTinyExperiment } from '../../pipeline/fixtures/tiny-experiment.ts';
import { makeTwinTeachers } from '../../pipeline/fixtures/twin-teachers.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';
import { assertInputsExist } from './recipe-inputs.ts';
import { runExperiment } from './run-experiment.ts';

const root = mkdtempSync(join(tmpdir(), 'tritsmith-gguf-run-'));
let workspace: Workspace;
let recipe: Recipe;
let twins: { folder: string; file: string };

beforeAll(async () => {
  // The 4-bit teacher has a test of its own; here llama.cpp counts as not installed.
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  recipe = { ...(await makeTinyExperiment(root)), pretrain: null, baseline: false };
  twins = await makeTwinTeachers(recipe.teacher, root);
  workspace = await openWorkspace({ folder: join(root, 'workspace'), mode: 'write', purpose: 'test' });
});
afterAll(() => {
  workspace.close();
  rmSync(root, { recursive: true, force: true });
});

async function run(teacher: string, changes: Partial<Recipe> = {}): Promise<string> {
  const record = await runExperiment(workspace, { ...recipe, ...changes, teacher }, { port: forkPort() });
  expect(record.state).toBe('done');
  return workspace.experimentFolder(record.id);
}
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

it('gives the student, the exports and the measurements of the folder', async () => {
  const [ofFile, ofFolder] = [await run(twins.file), await run(twins.folder)];
  for (const part of ['teacher', 'student'])
    expect(sha256(join(ofFile, part, 'model.safetensors')), part).toBe(
      sha256(join(ofFolder, part, 'model.safetensors')),
    );
  const exported = readdirSync(join(ofFolder, 'exports')).sort();
  expect(readdirSync(join(ofFile, 'exports')).sort()).toEqual(exported);
  const [hf] = exported.filter((name) => existsSync(join(ofFile, 'exports', name, 'model.safetensors')));
  expect(readdirSync(join(ofFile, 'exports', hf!)).sort()).toEqual(
    expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']),
  );
  expect(sha256(join(ofFile, 'exports', hf!, 'model.safetensors'))).toBe(
    sha256(join(ofFolder, 'exports', hf!, 'model.safetensors')),
  );
  expect(existsSync(join(ofFile, 'measurements'))).toBe(true);
});

it('serves as teacher without fine-tuning, and is looked for before anything starts', async () => {
  const folder = await run(twins.file, { finetune: null });
  expect(existsSync(join(folder, 'student', 'model.safetensors'))).toBe(true);
  expect(() => {
    assertInputsExist({ ...recipe, teacher: join(root, 'absent.gguf') });
  }).toThrow(expect.objectContaining({ code: 'not-found', id: 'recipe.inputs' }));
  expect(() => {
    assertInputsExist({ ...recipe, teacher: recipe.task.train });
  }).toThrow(
    expect.objectContaining({ reason: expect.stringContaining('neither a model folder nor a GGUF file') as string }),
  );
});
