import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recipeSchema } from '../main/contract/recipe.ts';
import { remove, root, temporaryFolder } from './harness.ts';
import { type NoNetwork, withoutNetwork } from './network.ts';

const demo = join(root, 'resources', 'demo');
let folder: string;
let workspace: string;
let network: NoNetwork;

/** Runs the command line without a network, with the umask that most systems have. */
function cli(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const node = [process.execPath, join(root, 'main', 'shell', 'cli', 'main.ts'), ...args, '--workspace', workspace];
  const [program, rest] = network.command('sh', ['-c', 'umask 022; exec "$0" "$@"', ...node]);
  return new Promise((resolve) => {
    const child = spawn(program, rest, { env: network.env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('close', (code) => {
      resolve({ code, out, err });
    });
  });
}

beforeAll(async () => {
  folder = temporaryFolder();
  workspace = join(folder, 'workspace');
  network = await withoutNetwork(folder);
});
afterAll(() => {
  network.end();
  remove(folder);
});

// The interface's journey runs without a network too: e2e/journey.test.ts.
describe.skipIf(process.platform === 'win32' || !existsSync(demo))('without a network', () => {
  it('the whole pipeline runs, from the demo teacher to an exported file', async () => {
    const steps = { steps: 4, optimiser: { learningRate: 1e-3, batchSize: 4 } };
    const recipe = recipeSchema.parse({
      name: 'offline',
      teacher: join(demo, 'teacher'),
      task: {
        name: 'demo',
        kind: 'classification',
        train: join(demo, 'task', 'train.tsv'),
        dev: join(folder, 'dev.tsv'),
        textColumns: ['text'],
        labelColumn: 'queue',
        limit: 64,
      },
      finetune: null,
      refine: {},
      pretrain: null,
      distil: steps,
      baseline: false,
      exports: [{ type: 'i2_s' }],
    });
    const rows40 = readFileSync(join(demo, 'task', 'dev.tsv'), 'utf8')
      .split('\n')
      .slice(0, 41);
    writeFileSync(join(folder, 'dev.tsv'), `${rows40.join('\n')}\n`);
    writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
    const run = await cli('run', join(folder, 'recipe.json'), '--json');
    expect(run.code, run.err).toBe(0);
    const { rows } = JSON.parse(run.out) as { rows: { name: string }[] };
    expect(rows.map(({ name }) => name)).toContain('bitdistill');
    expect((await cli('doctor', '--json')).code).toBe(0);
  });

  it('nothing tried to reach further than this machine', () => {
    expect(network.attempts()).toEqual([]);
  });

  it('everything in the workspace is for its user alone', () => {
    expect(statSync(workspace).mode & 0o777).toBe(0o700);
    const entries = readdirSync(workspace, { recursive: true, withFileTypes: true });
    expect(entries.length).toBeGreaterThan(10);
    const open = entries
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => (statSync(path).mode & 0o077) !== 0);
    expect(open).toEqual([]);
  });
});
