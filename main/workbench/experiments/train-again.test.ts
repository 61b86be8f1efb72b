import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { describeMachine } from '../machine/machine.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';
import { sweepAddedRows } from './train-again.ts';

let folder: string;
let workspace: Workspace;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-added-rows-'));
  workspace = await openWorkspace({ folder, mode: 'write', purpose: 'a test' });
});
afterEach(() => {
  workspace.close();
  rmSync(folder, { recursive: true });
});

/** A file of rows as `trainAgain` leaves it, written so many days ago. */
function addedRows(name: string, days: number): string {
  const own = join(folder, 'data', name);
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, 'new-added.jsonl'), '{}\n');
  const then = Date.now() / 1000 - days * 86_400;
  utimesSync(own, then, then);
  return join(own, 'new-added.jsonl');
}
function addExperiment(id: string, train: string): void {
  workspace.experiments.add({
    ...{ id, name: id, state: 'done', seed: 7, created: 1, started: 1, ended: 2 },
    ...{ machine: describeMachine(), versions: { node: '24' }, error: null, stages: [], artifacts: [] },
    recipe: sampleRecipe(id, { train }),
  });
}

it('keeps rows of experiments and young ones, and deletes the others', () => {
  const [used, moved, young, old] = [
    addedRows('used-1', 400),
    addedRows('moved-1', 400),
    addedRows('young-1', 6),
    addedRows('old-1', 8),
  ];
  addExperiment('again-1', used);
  addExperiment('again-2', join('/an/earlier/place/data/moved-1/new-added.jsonl'));
  sweepAddedRows(workspace);
  expect([used, moved, young, old].map((path) => existsSync(path))).toEqual([true, true, true, false]);
  expect(existsSync(join(folder, 'data', 'old-1'))).toBe(false);
});

it('deletes nothing where the workspace could not be read whole, and needs no such folder', () => {
  sweepAddedRows(workspace);
  const old = addedRows('old-1', 100);
  sweepAddedRows({ ...workspace, notices: ['broken-1 cannot be read and is left as it is.'] });
  expect(existsSync(old)).toBe(true);
});
