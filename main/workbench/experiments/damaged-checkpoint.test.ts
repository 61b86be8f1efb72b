/** A checkpoint that was cut, flipped or lost: the run falls back to the one before, says so where the user looks, and ends with the same student. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Recipe } from '../../contract/recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import { makeTinyExperiment } from '../../pipeline/fixtures/tiny-experiment.ts';
import { runExperiment } from './run-experiment.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';

// A pause that is asked for from here may come after the last of the eight steps.
const pausing = forkPort(fileURLToPath(new URL('../../jobs/fixtures/pausing-worker.ts', import.meta.url)));
const root = mkdtempSync(join(tmpdir(), 'tritsmith-damaged-'));
let workspace: Workspace;
let recipe: Recipe;
let expected: string;

/** Runs until the fine-tuning is paused or done: only the teacher is looked at. */
async function fineTune(what: Recipe | string, port: SpawnPort): Promise<string> {
  const signal = new StopSignal();
  const record = await runExperiment(workspace, what, {
    port,
    signal,
    onEvent: (event) => {
      if (event.type === 'job' && event.stage === 'finetune' && event.event.type === 'done') signal.ask('pause');
    },
  });
  return record.id;
}
function teacherOf(id: string): string {
  const path = join(workspace.experimentFolder(id), 'teacher', 'model.safetensors');
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

beforeAll(async () => {
  recipe = { ...(await makeTinyExperiment(root)), pretrain: null };
  workspace = await openWorkspace({ folder: join(root, 'workspace'), mode: 'write', purpose: 'test' });
  expected = teacherOf(await fineTune(recipe, forkPort()));
});
afterAll(() => {
  workspace.close();
  rmSync(root, { recursive: true, force: true });
});

describe('a resume whose newest checkpoint', () => {
  it.each<[string, (path: string) => void]>([
    ['was cut', (path) => truncateSync(path, 1000)],
    [
      'has one bit flipped',
      (path) => {
        const bytes = readFileSync(path);
        bytes[bytes.length >> 1]! ^= 1;
        writeFileSync(path, bytes);
      },
    ],
    ['is missing', (path) => rmSync(path)],
    ['lost its manifest', (path) => rmSync(path.replace(/safetensors$/, 'json'))],
  ])('%s takes the one before, says so in the log, and ends with the same teacher', async (_, damage) => {
    const id = await fineTune(recipe, pausing);
    const folder = join(workspace.experimentFolder(id), 'checkpoints', 'finetune');
    const newest = readdirSync(folder)
      .filter((name) => name.endsWith('.safetensors'))
      .sort()
      .at(-1)!;
    expect(newest).toBe('step-000000005.safetensors');
    damage(join(folder, newest));
    await fineTune(id, forkPort());
    const warnings = workspace.experiments.logs(id).filter(({ level }) => level === 'warning');
    expect(warnings.map(({ text }) => text).join('\n')).toContain(
      `A damaged checkpoint was passed over: ${newest.replace('.safetensors', '.json')}`,
    );
    expect(workspace.experiments.get(id).stages[0]!.state).toBe('done');
    expect(teacherOf(id)).toBe(expected);
  });
});
