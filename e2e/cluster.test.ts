/** Runs on several machines through the command line: two namespaces with a bad network between them, and a small Slurm. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTinyExperiment, tinyOptimiser } from '../main/pipeline/fixtures/tiny-experiment.ts';
import { hasMpi } from '../main/testing/mpi.ts';
import { makeCluster, missingFor, type SmallCluster } from './small-cluster.ts';

const program = fileURLToPath(new URL('../main/shell/cli/main.ts', import.meta.url));
const lacking = hasMpi() ? missingFor('cluster') : ['MPI'];
const lackingSlurm = [...lacking, ...missingFor('slurm')];
if (lacking.length > 0) process.stdout.write(`NO CLUSTER, so its tests are skipped. It needs: ${lacking.join(', ')}\n`);
else if (lackingSlurm.length > 0)
  process.stdout.write(
    `NO SLURM, so its tests are skipped. It needs: ${lackingSlurm.join(', ')} (Debian: slurmctld slurmd slurm-client munge)\n`,
  );

let root: string;
let recipe: string;
let cluster: SmallCluster;
/** The student of one process. */
let student: string;

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** The student of the only experiment of a workspace. */
function studentOf(workspace: string): string {
  const [id] = readdirSync(join(workspace, 'experiments')).filter((name) => !name.startsWith('.'));
  return sha256(join(workspace, 'experiments', id!, 'student', 'model.safetensors'));
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line on a machine. @param onSaid is told all that it said so far on standard error */
function tritsmith(
  machine: string | null,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  onSaid: (said: string, child: ChildProcess) => void = () => undefined,
): Promise<Ended> {
  const [command, words] =
    machine === null ? [process.execPath, [program, ...args]] : cluster.on(machine, process.execPath, program, ...args);
  const child = spawn(command, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    onSaid(err, child);
  });
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, out, err });
    });
  });
}

beforeAll(async () => {
  if (lacking.length > 0) return;
  root = mkdtempSync(join(tmpdir(), 'tritsmith-cluster-'));
  recipe = join(root, 'recipe.json');
  writeFileSync(
    recipe,
    JSON.stringify(
      await makeTinyExperiment(root, { distil: { steps: 40, optimiser: tinyOptimiser }, exports: [{ type: 'i2_s' }] }),
    ),
  );
  // The 4-bit teacher has a test of its own.
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  cluster = makeCluster(root, ['login', 'n1', 'n2']);
  process.stdout.write(`Between the machines: ${cluster.impaired}\n`);
  const one = await tritsmith(null, ['run', recipe, '--ranks', '1', '--workspace', join(root, 'one')]);
  expect(one.code, one.err).toBe(0);
  student = studentOf(join(root, 'one'));
});
afterAll(() => {
  if (lacking.length > 0) return;
  cluster.end();
  rmSync(root, { recursive: true, force: true });
});

describe.skipIf(lacking.length > 0)('two machines with a bad network between them', () => {
  const machines = (): string[] => {
    const list = join(root, 'hosts.txt');
    writeFileSync(list, 'n1\nn2\n');
    return ['--machines', list, '--network', cluster.network];
  };
  /** In the place of ssh there are namespaces here. */
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, OMPI_MCA_plm_rsh_agent: cluster.agent });

  it('train the student of one, bit for bit', async () => {
    const workspace = join(root, 'two');
    const before = cluster.sent('n2');
    const ran = await tritsmith('n1', ['run', recipe, ...machines(), '--workspace', workspace], env());
    expect(ran.code, ran.err).toBe(0);
    expect(ran.err).toMatch(/2 ranks share 8 shards, 1 threads each: n1, n2\./);
    expect(studentOf(workspace)).toBe(student);
    // Each step sends half of the gradients and half of the parameters: float32, some 300,000 of them.
    expect(cluster.sent('n2') - before).toBeGreaterThan(40 * 300_000 * 4);
  });

  it('end in words when one of them can no longer be reached, and one alone goes on', async () => {
    const workspace = join(root, 'cut');
    let isCut = false;
    const broken = await tritsmith('n1', ['run', recipe, ...machines(), '--workspace', workspace], env(), (said) => {
      if (isCut || !/distil .* [1-9]\d*\/40 steps/.test(said)) return;
      isCut = true;
      cluster.cut('n2');
    });
    cluster.mend('n2');
    expect(isCut).toBe(true);
    expect(broken.code, broken.err).toBe(1);
    expect(broken.err).toMatch(/can no longer be reached|was lost/);
    const resumed = await tritsmith('n1', ['resume', 'latest', '--workspace', workspace]);
    expect(resumed.code, resumed.err).toBe(0);
    expect(studentOf(workspace)).toBe(student);
  });
});

describe.skipIf(lackingSlurm.length > 0)('a small Slurm', () => {
  let env: NodeJS.ProcessEnv;
  const onLogin = (name: string, ...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(...cluster.on('login', name, ...args), { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    return stdout;
  };
  const stateOf = (job: string): string => /JobState=(\w+)/.exec(onLogin('scontrol', 'show', 'job', job))?.[1] ?? '';
  const submit = async (...args: string[]): Promise<{ job: string; log: string }> => {
    const script = join(root, `${args[0]!}.sh`);
    const { code, out, err } = await tritsmith('login', [...args, '--slurm', script, '--submit'], env);
    expect(code, err).toBe(0);
    return { job: out.trim(), log: `${script}.${out.trim()}.log` };
  };

  beforeAll(async () => {
    mkdirSync(join(root, 'slurm'));
    env = await cluster.startSlurm();
  });

  // A job that a failed test left would outlive its machines.
  afterAll(() => {
    onLogin('scancel', '--user', 'root');
  });

  it('runs the job that was submitted: paused by a signal, it goes on with another number of ranks, to the student of one process', async () => {
    // Its machines register.
    await expect
      .poll(() => {
        try {
          return onLogin('sinfo', '--noheader', '--format=%t %D').trim();
        } catch {
          return '';
        }
      })
      .toBe('idle 2');
    const workspace = join(root, 'slurm-workspace');
    const { job, log } = await submit('run', recipe, '--ranks', '2', '--threads', '1', '--workspace', workspace);
    const said = (path: string): string => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return '';
      }
    };
    await expect
      .poll(() => (/distil .* [1-9]\d*\/40 steps/.test(said(log)) ? 'distils' : `${stateOf(job)} ${said(log)}`))
      .toBe('distils');
    expect(said(log)).toMatch(/2 ranks share 8 shards, 1 threads each: n1, n2\./);
    onLogin('scancel', '--batch', '--signal=TERM', job);
    await expect.poll(() => stateOf(job)).not.toBe('RUNNING');
    expect(said(log)).toContain('Paused, the state is saved');
    const next = await submit('resume', 'latest', '--ranks', '1', '--workspace', workspace);
    await expect.poll(() => stateOf(next.job), { timeout: 400_000 }).toBe('COMPLETED');
    expect(studentOf(workspace)).toBe(student);
  });
});
