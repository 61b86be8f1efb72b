/** What a polite request to end does to a running experiment, and what a second workbench on the same workspace is told: real processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExperimentRecord } from '../contract/experiments.ts';
import { sampleRecipe } from '../jobs/fixtures/sample-recipe.ts';

const workbench = fileURLToPath(new URL('./fixtures/running-workbench.ts', import.meta.url));
const cli = fileURLToPath(new URL('./cli/fixtures/counting-cli.ts', import.meta.url));
const server = fileURLToPath(new URL('./server/main.ts', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = fileURLToPath(new URL('../../.ci/launch.mjs', import.meta.url));
const children: ChildProcess[] = [];
const groups: number[] = [];
let parent: string;
let workspace: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-closing-'));
  workspace = join(parent, 'workspace');
  mkdirSync(join(parent, 'teacher'));
  writeFileSync(join(parent, 'teacher', 'config.json'), '{}');
  writeFileSync(join(parent, 'train.tsv'), 'text\tlabel\na\t1\nb\t0\n');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const group of groups.splice(0)) killGroup(group);
  rmSync(parent, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  said(): string;
  saying(text: string): Promise<void>;
}
function start(script: string, ...args: string[]): Started {
  return watch(spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }));
}
/** Starts `command` as the leader of a process group of its own. */
function startGroup(command: string, ...args: string[]): Started & { signal(name: NodeJS.Signals): void } {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  groups.push(child.pid!);
  return { ...watch(child), signal: (name) => process.kill(-child.pid!, name) };
}
function watch(child: ChildProcess & { stdout: Readable; stderr: Readable }): Started {
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    ended,
    said: () => said,
    saying: async (text) => {
      while (!said.includes(text)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`It ended before it said "${text}":\n${said}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}
/** What its leader started may outlive it. */
function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}
const startWorkbench = (): Started => start(workbench, workspace, join(parent, 'teacher'), join(parent, 'train.tsv'));
function recipe(): string {
  const path = join(parent, 'recipe.json');
  const inputs = { teacher: join(parent, 'teacher'), train: join(parent, 'train.tsv') };
  writeFileSync(path, JSON.stringify(sampleRecipe('counts', { steps: 50_000, ...inputs })));
  return path;
}
function experiment(): ExperimentRecord {
  return JSON.parse(
    readFileSync(join(workspace, 'experiments', 'counts-1', 'experiment.json'), 'utf8'),
  ) as ExperimentRecord;
}
function checkpoint(): { step: number } {
  const path = join(workspace, 'experiments', 'counts-1', 'checkpoints', 'finetune', 'last.json');
  return JSON.parse(readFileSync(path, 'utf8')) as { step: number };
}

describe.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s', (signal) => {
  it('pauses the experiment of a workbench with an interface, with its state saved', async () => {
    const running = startWorkbench();
    await running.saying('running\n');
    running.child.kill(signal);
    expect(await running.ended).toBe(0);
    expect(running.said()).toContain('Pausing: saving the state');
    const { state, stages } = experiment();
    expect([state, stages[0]!.state]).toEqual(['paused', 'paused']);
    expect(checkpoint().step).toBe(stages[0]!.done);
  });

  it('pauses the experiment of the command line, and says how to go on', async () => {
    const running = start(cli, 'run', recipe(), '--workspace', workspace);
    await running.saying('finetune         [');
    running.child.kill(signal);
    expect(await running.ended).toBe(4);
    expect(running.said()).toContain('To go on: tritsmith resume counts-1');
    expect(experiment().state).toBe('paused');
    expect(checkpoint().step).toBe(experiment().stages[0]!.done);
  });
});

// Every process of the group gets the signal, and then again from those that pass it on.
describe.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGHUP'] as const)(
  '%s to a process group',
  (signal) => {
    it('pauses the experiment of a workbench with an interface, with its state saved', async () => {
      const script = relative(root, workbench);
      const args = [workspace, join(parent, 'teacher'), join(parent, 'train.tsv')];
      const running = startGroup(process.execPath, launcher, script, ...args);
      await running.saying('running\n');
      running.signal(signal);
      expect(await running.ended).toBe(0);
      expect(experiment().state).toBe('paused');
      expect(checkpoint().step).toBe(experiment().stages[0]!.done);
    });

    it('pauses the experiment of the command line, with its state saved', async () => {
      const args = ['run', recipe(), '--workspace', workspace];
      const running = startGroup(process.execPath, launcher, relative(root, cli), ...args);
      await running.saying('finetune         [');
      running.signal(signal);
      expect([await running.ended, running.said()]).toEqual([4, expect.not.stringContaining('Cancelling')]);
      expect(experiment().state).toBe('paused');
      expect(checkpoint().step).toBe(experiment().stages[0]!.done);
    });
  },
);

describe.skipIf(process.platform !== 'linux')('timeout -s TERM', () => {
  it('pauses the experiment, with its state saved', async () => {
    // It passes on what it is sent itself just as it sends what its time is up for: to its child, then to the whole group.
    const command = ['-s', 'TERM', '600', process.execPath, launcher, relative(root, cli)];
    const running = startGroup('timeout', ...command, 'run', recipe(), '--workspace', workspace);
    await running.saying('finetune         [');
    running.child.kill('SIGTERM');
    await running.ended;
    expect(running.said()).toContain('To go on: tritsmith resume counts-1');
    expect(running.said()).not.toContain('Cancelling');
    expect(experiment().state).toBe('paused');
    expect(checkpoint().step).toBe(experiment().stages[0]!.done);
  });
});

describe('a second workbench', () => {
  it.each([
    ['the command line', cli, ['run']],
    ['the server', server, []],
  ])('(%s) is told which process works there since when, and leaves it alone', async (_, script, args) => {
    const first = startWorkbench();
    await first.saying('running\n');
    const second = start(script, ...args.flatMap((arg) => [arg, recipe()]), '--workspace', workspace);
    expect(await second.ended).toBe(script === cli ? 3 : 1);
    expect(second.said()).toContain(`Another workbench is working in ${workspace}`);
    expect(second.said()).toMatch(
      new RegExp(`process ${String(first.child.pid)} on .*"the workbench".* has held it since`),
    );
    expect(second.said()).toContain('choose another folder with --workspace');
    expect(first.child.exitCode).toBeNull();
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
  });
});
