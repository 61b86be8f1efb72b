/** Runs on another computer, over a real sshd of this machine: the other side has a user's data folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentRecord } from '../main/contract/experiments.ts';
import { type Recipe, recipeSchema } from '../main/contract/recipe.ts';
import type { RemoteStatus } from '../main/contract/remote.ts';
import { remove, root, temporaryFolder } from './harness.ts';
import { missingForSshd, type SmallSshd, startSshd } from './small-sshd.ts';

const program = join(root, 'main', 'shell', 'cli', 'main.ts');
const lacking = process.platform === 'win32' ? ['a POSIX system'] : missingForSshd();
if (lacking.length > 0)
  process.stdout.write(`NO SSHD, so runs on another computer are not tested. It needs: ${lacking.join(', ')}\n`);

let folder: string;
let sshd: SmallSshd;
let recipe: Recipe;
let recipePath: string;
/** A clone on the other side: this one. */
const there = `there:${root}`;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The command line on this side. @param onSaid is told all that it said so far on standard error */
function tritsmith(
  args: readonly string[],
  { env = sshd.env, onSaid }: { env?: NodeJS.ProcessEnv; onSaid?: (said: string, child: ChildProcess) => void } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    onSaid?.(err, child);
  });
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, out, err });
    });
  });
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const experimentFolder = (workspace: string, id: string): string => join(workspace, 'experiments', id);
const recordOf = (workspace: string, id: string): ExperimentRecord =>
  JSON.parse(readFileSync(join(experimentFolder(workspace, id), 'experiment.json'), 'utf8')) as ExperimentRecord;
const digests = (workspace: string, id: string): Record<string, string> =>
  Object.fromEntries(
    [
      'student/model.safetensors',
      ...readdirSync(join(experimentFolder(workspace, id), 'exports'))
        .filter((name) => name.endsWith('.gguf'))
        .map((name) => `exports/${name}`),
    ].map((name) => [name, sha256(join(experimentFolder(workspace, id), name))]),
  );

/** The demo's teacher and 64 of its rows, six steps. */
function tinyRecipe(files: string): Recipe {
  const demo = join(root, 'resources', 'demo');
  cpSync(join(demo, 'teacher'), join(files, "Lehrer's kleiner"), { recursive: true });
  const rows = (name: string, count: number): string => {
    const path = join(files, `${name} $HOME 'ü'.tsv`);
    const lines = readFileSync(join(demo, 'task', `${name}.tsv`), 'utf8').split('\n');
    writeFileSync(path, `${lines.slice(0, 1 + count).join('\n')}\n`);
    return path;
  };
  return recipeSchema.parse({
    name: 'tiny',
    teacher: join(files, "Lehrer's kleiner"),
    threads: 1,
    task: {
      name: 'tickets',
      kind: 'classification',
      train: rows('train', 64),
      dev: rows('dev', 20),
      textColumns: ['text'],
      labelColumn: 'queue',
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { steps: 6, optimiser: { learningRate: 1e-3, batchSize: 8 } },
    baseline: false,
    checkpoint: { steps: 2, minutes: 5 },
    exports: [{ type: 'i2_s' }],
  });
}

beforeAll(async () => {
  if (lacking.length > 0) return;
  folder = temporaryFolder();
  recipe = tinyRecipe(join(folder, 'Ännes "Zeilen" & co'));
  recipePath = join(folder, 'recipe.json');
  writeFileSync(recipePath, JSON.stringify(recipe));
  sshd = await startSshd(join(folder, 'sshd'));
});
afterAll(() => {
  if (lacking.length > 0) return;
  sshd.end();
  remove(folder);
});

describe.skipIf(lacking.length > 0)('a run on another computer', () => {
  it('comes home as an ordinary experiment with the student of a run here, bit for bit', async () => {
    const here = join(folder, 'here');
    const local = await tritsmith(['run', recipePath, '--json', '--workspace', here]);
    expect(local.code, local.err).toBe(0);

    const check = await tritsmith(['remote', 'check', there, '--workspace', here]);
    expect(check.code, check.err).toBe(0);
    expect(check.out).toContain('Runs there now    none');

    const run = await tritsmith(['run', recipePath, '--on', there, '--json', '--workspace', here]);
    expect(run.code, run.err).toBe(0);
    const rows = (text: string): unknown =>
      (JSON.parse(text) as { rows: { name: string }[] }).rows.map(({ name }) => name);
    expect(rows(run.out)).toEqual(rows(local.out));
    expect(digests(here, 'tiny-2')).toEqual(digests(here, 'tiny-1'));

    const record = recordOf(here, 'tiny-2');
    expect(record.recipe).toEqual(recipe);
    expect(record.state).toBe('done');
    for (const { path, sha256: known } of record.artifacts)
      expect(sha256(join(experimentFolder(here, 'tiny-2'), path)), path).toBe(known);
    const shown = await tritsmith(['show', 'tiny-2', '--metric', 'distil/loss', '--json', '--workspace', here]);
    const before = await tritsmith(['show', 'tiny-1', '--metric', 'distil/loss', '--json', '--workspace', here]);
    const points = (text: string): unknown => (JSON.parse(text) as { points: unknown[] }).points;
    expect(points(shown.out)).toHaveLength(6);
    expect(points(shown.out)).toEqual(points(before.out));
    // Nothing of the other side's folders is left in it, nor a part of anything.
    for (const entry of readdirSync(experimentFolder(here, 'tiny-2'), { recursive: true, withFileTypes: true }))
      if (entry.isFile() && /\.(json|jsonl|md)$/.test(entry.name))
        expect(readFileSync(join(entry.parentPath, entry.name), 'utf8'), entry.name).not.toContain(sshd.data);
    expect(readdirSync(join(here, 'experiments')).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(readdirSync(join(here, 'remote')).filter((name) => !name.endsWith('.json'))).toEqual([]);
    expect(existsSync(join(here, 'experiments', 'tiny-2', 'worker.json'))).toBe(false);
  });

  it('is listed with what became of it', async () => {
    const list = await tritsmith(['remote', 'list', '--json', '--workspace', join(folder, 'here')]);
    expect(list.code, list.err).toBe(0);
    expect(JSON.parse(list.out)).toMatchObject([
      { fetched: 'tiny-2', last: { status: { state: 'done', running: false } satisfies Partial<RemoteStatus> } },
    ]);
  });
});
