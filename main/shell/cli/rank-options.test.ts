/** The flags of a run on several machines: what they make of a recipe, which networks they refuse, the scripts that they write. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { hasMpi } from '../../testing/mpi.ts';
import { isPrivateNetwork, recipeForRanks } from '../../workbench/machine/rank-plan.ts';
import { slurmScript } from '../../workbench/machine/slurm-script.ts';
import { inProcess } from './fixtures/in-process.ts';

const counting = forkPort(fileURLToPath(new URL('../../jobs/fixtures/counting-worker.ts', import.meta.url)));
let parent: string;
let file: string;
const path = process.env['PATH'];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-rank-options-'));
  mkdirSync(join(parent, 'teacher'));
  writeFileSync(join(parent, 'teacher', 'config.json'), '{}');
  writeFileSync(join(parent, 'train.tsv'), 'text\tlabel\na\t1\nb\t0\n');
  file = join(parent, 'recipe.json');
  writeFileSync(file, JSON.stringify(sampleRecipe('steps', { steps: 3 })));
});
afterEach(() => {
  process.env['PATH'] = path;
  rmSync(parent, { recursive: true, force: true });
});

const cli = (...args: string[]): ReturnType<typeof inProcess> =>
  inProcess(counting, ...args, '--workspace', join(parent, 'workspace'));

const machines = (text: string): string => {
  const list = join(parent, 'hosts.txt');
  writeFileSync(list, text);
  return list;
};

describe('a recipe for ranks', () => {
  const recipe = recipeSchema.parse(sampleRecipe('steps', { steps: 3 }));

  it('has shards for any number of ranks later, and says its threads', () => {
    expect(recipeForRanks(recipe, 1, 1, 3)).toMatchObject({ shards: 8, threads: 3 });
    expect(recipeForRanks(recipe, 4, 1)).toMatchObject({ shards: 8, threads: expect.any(Number) as number });
    expect(recipeForRanks(recipe, 4, 1024).threads).toBe(1);
    expect(recipeForRanks(recipe, 32, 1, 2).shards).toBe(32);
    expect(recipeForRanks({ ...recipe, shards: 2, threads: 7 }, 2, 1)).toMatchObject({ shards: 2, threads: 7 });
  });

  it.each([
    [3, 'ranks.not-a-divisor'],
    [128, 'ranks.too-many'],
  ])('cannot be made for %i', (ranks, id) => {
    expect(() => recipeForRanks(recipe, ranks, 1)).toThrow(expect.objectContaining({ id }) as Error);
  });

  it('says in how many parts an exchange is rounded, where that is asked for', () => {
    expect(recipeForRanks(recipe, 4, 1, 1)).not.toHaveProperty('roundedExchange');
    const rounded = recipeForRanks(recipe, 4, 1, 1, true);
    expect(rounded).toMatchObject({ shards: 8, roundedExchange: 4 });
    expect(recipeForRanks(rounded, 2, 1)).toMatchObject({ roundedExchange: 4 });
    const of = (ranks: number, given = rounded, rounds = false) => {
      return () => recipeForRanks(given, ranks, 1, 1, rounds);
    };
    expect(of(8)).toThrow(expect.objectContaining({ id: 'ranks.more-than-parts' }) as Error);
    expect(of(1, recipe, true)).toThrow(expect.objectContaining({ id: 'ranks.nothing-to-round' }) as Error);
    expect(of(1, { ...recipe, shards: 2, roundedExchange: 4 })).toThrow(
      expect.objectContaining({ id: 'ranks.rounded-parts' }) as Error,
    );
  });

  it('is run by one process with --ranks 1, which needs no MPI', async () => {
    process.env['PATH'] = '/nowhere';
    const { code, err } = await cli('run', file, '--ranks', '1', '--threads', '1');
    expect(code, err).toBe(0);
  });
});

describe('networks between ranks', () => {
  it.each(['10.0.0.0/8', '10.3.4.0/24', '192.168.7.0/24', '172.31.0.0/16', 'lo', '10.0.0.0/24,192.168.0.0/16'])(
    '%s is private',
    (network) => {
      expect(isPrivateNetwork(network)).toBe(true);
    },
  );
  it.each([
    '0.0.0.0/0',
    '8.8.8.0/24',
    '172.0.0.0/8',
    '10.0.0.0/7',
    '10.0.0.0/24,1.2.3.0/24',
    'no-such0',
    '10.0.0.0/33',
    '',
  ])('%s is not known to be', (network) => {
    expect(isPrivateNetwork(network)).toBe(false);
  });
});

describe('run --machines', () => {
  it('wants to be told the network, and refuses a public one unless told', async () => {
    const list = machines('one slots=2\n# a remark\ntwo   slots=2\n');
    const silent = await cli('run', file, '--machines', list);
    expect(silent).toMatchObject({ code: 2 });
    expect(silent.err).toContain('--network');
    const open = await cli('run', file, '--machines', list, '--network', '8.8.8.0/24', '--print-command');
    expect(open).toMatchObject({ code: 2 });
    expect(open.err).toContain('8.8.8.0/24 is not a private network');
    const told = await cli(
      'run',
      file,
      '--machines',
      list,
      '--network',
      '8.8.8.0/24',
      '--trust-network',
      '--print-command',
    );
    expect(told.code).toBe(0);
    expect(told.out).toMatch(/^mpirun -np 4 .*--host one:2,two:2 .*--mca btl_tcp_if_include 8\.8\.8\.0\/24 /);
    expect(told.out).toMatch(/rank-worker\.ts\n$/);
  });

  it.each([
    ['one; rm -rf /\n', 'one; rm -rf /'],
    ['-x\n', ''],
    ['one slots=many\n', 'one slots=many'],
  ])('refuses a list with the line %j', async (text) => {
    const { code, err } = await cli('run', file, '--machines', machines(text), '--network', '10.0.0.0/24');
    expect(code).toBe(2);
    expect(err).toContain('is not a list of machines');
  });

  it('refuses more ranks than there is room for', async () => {
    const list = machines('one\ntwo\n');
    const { code, err } = await cli('run', file, '--machines', list, '--network', '10.0.0.0/24', '--ranks', '4');
    expect(code).toBe(2);
    expect(err).toContain('has room for 2');
  });
});

describe('run --slurm', () => {
  it('writes a script that bash reads, and the recipe beside it', async () => {
    const script = join(parent, 'a job.sh');
    const { code, err } = await cli(
      ...['run', file, '--ranks', '4', '--threads', '6', '--name', 'tickets "$(id)"', '--slurm', script],
      ...['--slurm-options', '--partition=long --time=24:00:00'],
    );
    expect(code, err).toBe(0);
    expect(err).toContain(`sbatch ${script}`);
    const text = readFileSync(script, 'utf8');
    expect(spawnSync('bash', ['-n', script]).status).toBe(0);
    expect(text).toContain('#SBATCH --job-name=tickets-id-\n');
    expect(text).toContain('#SBATCH --ntasks=4\n#SBATCH --ntasks-per-node=1\n#SBATCH --cpus-per-task=6\n');
    expect(text).toContain('#SBATCH --signal=B:TERM@300\n#SBATCH --partition=long\n#SBATCH --time=24:00:00\n');
    const kept = JSON.parse(readFileSync(`${script}.recipe.json`, 'utf8')) as Recipe;
    expect(kept).toMatchObject({ shards: 8, threads: 6, teacher: join(parent, 'teacher') });
    expect(text).toContain(`run '${script}.recipe.json' --ranks 4 --workspace ${join(parent, 'workspace')}\n`);
    expect(existsSync(join(parent, 'workspace', 'experiments'))).toBe(false);
  });

  it('submits it where asked, and says the number of the job or why there is none', async () => {
    const script = join(parent, 'job.sh');
    const submit = ['run', file, '--ranks', '2', '--slurm', script, '--submit'];
    const bin = join(parent, 'bin');
    mkdirSync(bin);
    process.env['PATH'] = bin;
    expect(await cli(...submit)).toMatchObject({ code: 2, err: expect.stringContaining('no sbatch here') as string });
    // What sbatch prints is its interface; the real one runs in .ci/slurm.
    writeFileSync(join(bin, 'sbatch'), '#!/bin/sh\n[ "$1" = --parsable ] && [ -f "$2" ] && echo "42;cluster"\n');
    chmodSync(join(bin, 'sbatch'), 0o700);
    expect(await cli(...submit)).toMatchObject({ code: 0, out: '42\n' });
    writeFileSync(join(bin, 'sbatch'), '#!/bin/sh\necho "invalid partition specified: long" >&2\nexit 1\n');
    expect(await cli(...submit)).toMatchObject({
      code: 2,
      err: expect.stringContaining('invalid partition specified: long') as string,
    });
  });

  it('has no line of a name or an option that is another line of the script', () => {
    const script = slurmScript({
      name: 'a\n#SBATCH --uid=0',
      ranks: 2,
      threads: 1,
      command: ['node', "it's\nhere"],
      output: '/logs/%j.log',
      options: ['--comment=a\nrm -rf ~'],
    });
    expect(script.split('\n').filter((line) => line.startsWith('#SBATCH --uid'))).toEqual([]);
    expect(script).toContain('#SBATCH --comment=a rm -rf ~\n');
    expect(script).toContain("exec node 'it'\\''s\nhere'\n");
  });
});

describe('resume --ranks', () => {
  it('does not share a run that began without shards', async () => {
    writeFileSync(file, JSON.stringify(sampleRecipe('fails-at-distil', { steps: 3 })));
    await cli('run', file);
    const { code, err } = await cli('resume', 'latest', '--ranks', '4');
    expect(code).toBe(2);
    expect(err).toContain('4 ranks cannot share it');
  });
});

it.skipIf(hasMpi())('without MPI, says what to install', async () => {
  const { code, err } = await cli('run', file, '--ranks', '2');
  expect(code).toBe(2);
  expect(err).toContain('libopenmpi-dev');
});
