/** Ranks that mpirun starts: the bits of one process, a rank that is killed, and a run that goes on with another number of them. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobEvent, type JobKind, jobsOfRanks } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { readSharedStages } from '../experiment/shared-stages.ts';
import { makeTinyExperiment, tinyOptimiser } from '../pipeline/fixtures/tiny-experiment.ts';
import { jobsOf } from '../pipeline/inspect/cost.ts';
import { hasMpi } from '../testing/mpi.ts';
import { forkPort } from './fork-port.ts';
import { type JobOutcome, runInWorker } from './host.ts';
import { mpiPort, mpirunCommand } from './mpi-port.ts';
import type { SpawnPort } from './spawn-port.ts';
import { StopSignal } from './stop-signal.ts';

let root: string;
let recipe: Recipe;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-ranks-'));
  recipe = await makeTinyExperiment(
    root,
    {
      shards: 4,
      reconstruct: { steps: 4, window: 1, optimiser: tinyOptimiser },
      distil: { steps: 12, optimiser: tinyOptimiser },
    },
    { layers: 2, trainingRows: 90, evaluationRows: 20, paragraphs: 100 },
  );
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

async function runJob(
  folder: string,
  kind: JobKind,
  port: SpawnPort,
  onEvent: (event: JobEvent) => void = () => undefined,
  of: Recipe = recipe,
): Promise<void> {
  const outcome = await runInWorker(port, { kind, recipe: of, folder }, { onEvent });
  expect(outcome.state, kind).toBe('done');
}

/** Runs the experiment's jobs up to `last`. */
async function run(
  folder: string,
  ranks: SpawnPort,
  last: JobKind,
  onEvent?: (event: JobEvent) => void,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const jobs = jobsOf(recipe);
  for (const kind of jobs.slice(0, jobs.indexOf(last) + 1)) {
    await runJob(folder, kind, jobsOfRanks.includes(kind) ? ranks : forkPort(), onEvent);
  }
}

function models(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /^[a-z]+\/model\.safetensors$|^evaluations\//.test(path),
  );
  return Object.fromEntries(paths.toSorted().map((path) => [path, sha256(join(folder, path))]));
}

/** Processes below one, those of its children included. */
function descendants(pid: number): { pid: number; command: string }[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        return [{ pid: Number(name), parent, command: readFileSync(`/proc/${name}/cmdline`, 'utf8') }];
      } catch {
        return [];
      }
    });
  const below = (of: number): { pid: number; command: string }[] =>
    parents.filter(({ parent }) => parent === of).flatMap((each) => [each, ...below(each.pid)]);
  return below(pid);
}

const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

describe('the command of ranks', () => {
  it('keeps ranks of one machine off every network, and those of several on the one that was named', () => {
    expect(mpirunCommand({ ranks: 4 }, ['node', 'worker.ts']).join(' ')).toMatch(
      /^mpirun -np 4 --bind-to none .*--mca pml ob1 .*--mca btl \^tcp --mca oob_tcp_if_include lo node worker\.ts$/,
    );
    expect(
      mpirunCommand({ ranks: 2, machines: [{ name: 'n1', slots: 2 }], network: '10.1.0.0/16' }, [
        'node',
        'worker.ts',
      ]).join(' '),
    ).toMatch(
      /--host n1:2 .*--mca pml ob1 .*--mca btl self,vader,tcp --mca btl_tcp_if_include 10\.1\.0\.0\/16 --mca oob_tcp_if_include 10\.1\.0\.0\/16 node worker\.ts$/,
    );
  });
});

describe.skipIf(!hasMpi())('ranks that mpirun starts', () => {
  let whole: string;
  beforeAll(async () => {
    whole = join(root, 'whole');
    await run(whole, forkPort(), 'evaluate');
  });

  it.each([2, 4])('%i of them leave, bit for bit, what one process leaves', async (ranks) => {
    const folder = join(root, `of-${ranks}`);
    const exchanged: number[] = [];
    const logs: string[] = [];
    await run(folder, mpiPort({ ranks }), 'evaluate', (event) => {
      if (event.type === 'metrics' && 'exchanged-bytes' in event.values)
        exchanged.push(event.values['exchanged-bytes']!);
      if (event.type === 'log') logs.push(event.text);
    });
    expect(models(folder)).toEqual(models(whole));
    expect(Object.keys(models(folder)).length).toBeGreaterThan(6);
    expect(exchanged.every((bytes) => bytes > 0)).toBe(true);
    expect(logs).toContainEqual(expect.stringMatching(new RegExp(`^${ranks} ranks share 4 shards, 1 threads each: `)));
    expect(logs).toContainEqual(expect.stringMatching(/^Tokens a second while computing: rank 0: \d+, rank 1: \d+/));
    const { distil, ...stages } = readSharedStages(folder);
    expect(Object.keys(stages)).toEqual(['finetune', 'reconstruct', 'pretrain', 'baseline']);
    expect(distil).toMatchObject({ steps: 12 });
    expect(distil!.ranks).toHaveLength(ranks);
    for (const each of distil!.ranks) {
      expect(each.node).not.toBe('');
      expect(each.computingSeconds + each.waitingSeconds).toBeLessThan(distil!.stepSeconds);
      // Equal shares; now and then the norms that balance gamma are exchanged too.
      expect(each.sentBytes / distil!.ranks[0]!.sentBytes).toBeCloseTo(1, 1);
      expect(each.sentBytes).toBeGreaterThanOrEqual(Math.min(...exchanged));
    }
    expect(readSharedStages(whole)).toEqual({});
  });

  it('exchange rounded numbers where the recipe says so, half of the bytes, and leave what one process leaves', async () => {
    const rounded: Recipe = { ...recipe, roundedExchange: 2 };
    const [one, two] = [join(root, 'rounded-one'), join(root, 'rounded-two')];
    mkdirSync(one);
    mkdirSync(two);
    const exchanged: number[] = [];
    await runJob(one, 'finetune', forkPort(), undefined, rounded);
    await runJob(
      two,
      'finetune',
      mpiPort({ ranks: 2 }),
      (event) => {
        if (event.type === 'metrics') exchanged.push(event.values['exchanged-bytes'] ?? NaN);
      },
      rounded,
    );
    expect(models(two)).toEqual(models(one));
    expect(models(two)).not.toEqual({ 'teacher/model.safetensors': models(whole)['teacher/model.safetensors'] });
    // Half of gradients and half of parameters in two bytes each; the file has them in four.
    const { size } = statSync(join(two, 'teacher', 'model.safetensors'));
    expect(Math.max(...exchanged.filter(Number.isFinite)) / size).toBeCloseTo(0.5, 1);
  });

  it('ends in words when one is killed, leaves no process, and goes on with another number of them', async () => {
    const folder = join(root, 'killed');
    await run(folder, mpiPort({ ranks: 2 }), 'pretrain');
    let processes: number[] = [];
    let mpirun = 0;
    const broken = runInWorker(
      mpiPort({ ranks: 4 }),
      { kind: 'distil', recipe, folder },
      {
        onStart: (pid) => {
          mpirun = pid!;
        },
        onEvent: (event) => {
          if (event.type !== 'checkpoint' || event.step !== 4 || processes.length > 0) return;
          const found = descendants(mpirun).filter(({ command }) => command.includes('rank-worker'));
          processes = found.map(({ pid }) => pid);
          process.kill(processes.at(-1)!, 'SIGKILL');
        },
      },
    );
    await expect(broken).rejects.toMatchObject({ code: 'worker-died', id: 'ranks.lost', params: { signal: 9 } });
    expect(processes).toHaveLength(4);
    await expect.poll(() => processes.filter(isAlive)).toEqual([]);
    const resumed: number[] = [];
    await runJob(folder, 'distil', mpiPort({ ranks: 2 }), (event) => {
      if (event.type === 'progress') resumed.push(event.resumed);
    });
    expect(Math.max(...resumed)).toBeGreaterThanOrEqual(4);
    expect(models(folder)['student/model.safetensors']).toBe(models(whole)['student/model.safetensors']);
  });

  it('pause with their state saved, and one process goes on', async () => {
    const folder = join(root, 'paused');
    await run(folder, forkPort(), 'pretrain');
    const signal = new StopSignal();
    const outcome = await runInWorker(
      mpiPort({ ranks: 2 }),
      { kind: 'distil', recipe, folder },
      {
        signal,
        onEvent: (event) => {
          if (event.type === 'progress' && event.unit === 'steps' && event.done === 3) signal.ask('pause');
        },
      },
    );
    expect(outcome.state).toBe('paused');
    expect((outcome as JobOutcome & { state: 'paused' }).step).toBeGreaterThanOrEqual(3);
    await runJob(folder, 'distil', forkPort());
    expect(models(folder)['student/model.safetensors']).toBe(models(whole)['student/model.safetensors']);
  });

  it('end with mpirun, should it be killed', async () => {
    const folder = join(root, 'orphans');
    await run(folder, forkPort(), 'pretrain');
    let processes: number[] = [];
    let mpirun = 0;
    const broken = runInWorker(
      mpiPort({ ranks: 2 }),
      { kind: 'distil', recipe, folder },
      {
        onStart: (pid) => {
          mpirun = pid!;
        },
        onEvent: (event) => {
          if (event.type !== 'metrics' || processes.length > 0) return;
          processes = descendants(mpirun).map(({ pid }) => pid);
          process.kill(mpirun, 'SIGKILL');
        },
      },
    );
    await expect(broken).rejects.toMatchObject({ code: 'worker-died' });
    await expect.poll(() => processes.filter(isAlive)).toEqual([]);
  });

  it('say what is wrong with the job, whichever of them finds it', async () => {
    const job = { kind: 'distil', recipe: { ...recipe, shards: undefined }, folder: root } as const;
    await expect(runInWorker(mpiPort({ ranks: 2 }), job)).rejects.toMatchObject({ id: 'ranks.no-shards' });
  });
});
