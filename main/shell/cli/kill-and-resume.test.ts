/** The promise of a resume, on the real pipeline: whatever dies, and whenever, the student is the same bit for bit. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { recipeSchema } from '../../contract/recipe.ts';

const script = fileURLToPath(new URL('./main.ts', import.meta.url));
const demo = fileURLToPath(new URL('../../../resources/demo', import.meta.url));
const ready = existsSync(join(demo, 'teacher', 'model.safetensors')) && existsSync(join(demo, 'task', 'train.tsv'));
const children: ChildProcess[] = [];
let folder: string;

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  err(): string;
  /** Resolves when standard error holds `text`, or when the process has ended. */
  saying(text: string): Promise<void>;
}

function start(...args: string[]): Run {
  const child = spawn(process.execPath, [script, ...args, '--workspace', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdout.resume();
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const saying = async (text: string): Promise<void> => {
    while (!err.includes(text) && child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => setTimeout(resolve, 10));
  };
  return { child, ended, err: () => err, saying };
}

function experiment(id: string): ExperimentRecord {
  return JSON.parse(readFileSync(join(folder, 'experiments', id, 'experiment.json'), 'utf8')) as ExperimentRecord;
}
function workerOf(id: string): number {
  const note = JSON.parse(readFileSync(join(folder, 'experiments', id, 'worker.json'), 'utf8')) as { pid: number };
  return note.pid;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-kill-'));
  if (!ready) return;
  const dev = readFileSync(join(demo, 'task', 'dev.tsv'), 'utf8')
    .split('\n')
    .slice(0, 51)
    .join('\n');
  writeFileSync(join(folder, 'dev.tsv'), dev);
  const header = readFileSync(join(demo, 'task', 'train.tsv'), 'utf8')
    .split('\n')[0]!
    .split('\t');
  const labelColumn = header.at(-1)!;
  const optimiser = { learningRate: 1e-3, batchSize: 8 };
  const recipe = recipeSchema.parse({
    name: 'kill',
    teacher: join(demo, 'teacher'),
    task: {
      name: 'demo',
      kind: 'classification',
      train: join(demo, 'task', 'train.tsv'),
      dev: join(folder, 'dev.tsv'),
      textColumns: header.filter((name) => name !== labelColumn),
      labelColumn,
      limit: 200,
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { steps: 20, optimiser },
    baseline: false,
    checkpoint: { steps: 3, minutes: 5 },
  });
  writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!ready)('an experiment on the demo teacher', () => {
  it('that is paused, loses its worker and loses its workbench ends with the student of an undisturbed run', async () => {
    const whole = start('run', join(folder, 'recipe.json'));
    expect([await whole.ended, whole.err().slice(-600)]).toEqual([0, expect.any(String)]);

    const paused = start('run', join(folder, 'recipe.json'));
    await paused.saying('distil: started');
    await paused.saying('distil           [');
    paused.child.kill('SIGINT');
    expect(await paused.ended).toBe(4);
    expect(experiment('kill-2').state).toBe('paused');

    const workerKilled = start('resume', 'kill-2');
    await workerKilled.saying('distil           [');
    process.kill(workerOf('kill-2'), 'SIGKILL');
    expect(await workerKilled.ended).toBe(1);
    expect(workerKilled.err()).toContain('SIGKILL');

    const workbenchKilled = start('resume', 'kill-2');
    await workbenchKilled.saying('distil           [');
    workbenchKilled.child.kill('SIGKILL');
    await workbenchKilled.ended;

    const last = start('resume', 'kill-2');
    expect(await last.ended).toBe(0);
    const hashes = (id: string): Record<string, string> =>
      Object.fromEntries(experiment(id).artifacts.map(({ name, sha256 }) => [name, sha256]));
    const disturbed = hashes('kill-2');
    expect(Object.keys(disturbed)).toContain('student');
    expect(disturbed).toEqual(hashes('kill-1'));
  });
});
