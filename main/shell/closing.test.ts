/** What a polite request to end does to a running experiment, and what a second workbench on the same workspace is told: real processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExperimentRecord } from '../contract/experiments.ts';
import { sampleRecipe } from '../jobs/fixtures/sample-recipe.ts';

const workbench = fileURLToPath(new URL('./fixtures/running-workbench.ts', import.meta.url));
const cli = fileURLToPath(new URL('./cli/fixtures/counting-cli.ts', import.meta.url));
const server = fileURLToPath(new URL('./server/main.ts', import.meta.url));
const children: ChildProcess[] = [];
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
  rmSync(parent, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  said(): string;
  saying(text: string): Promise<void>;
}
function start(script: string, ...args: string[]): Started {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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
        if (child.exitCode !== null) throw new Error(`It ended before it said "${text}":\n${said}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}
const startWorkbench = (): Started => start(workbench, workspace, join(parent, 'teacher'), join(parent, 'train.tsv'));
function recipe(): string {
  const path = join(parent, 'recipe.json');
  const inputs = { teacher: join(parent, 'teacher'), train: join(parent, 'train.tsv') };
  writeFileSync(path, JSON.stringify(sampleRecipe('counts', { steps: 5000, ...inputs })));
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
