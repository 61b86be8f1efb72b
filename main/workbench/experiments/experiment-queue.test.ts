/** What becomes of the queue when its workbench ends, or is killed: real processes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import type { Application } from '../interface/application.ts';
import { openCountingApplication, writeCountedFiles } from '../fixtures/counting-application.ts';

const fixture = fileURLToPath(new URL('../fixtures/run-queue.ts', import.meta.url));
let parent: string;
let application: Application | null = null;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-queue-'));
  writeCountedFiles(parent);
});
afterEach(async () => {
  await application?.close();
  application = null;
  rmSync(parent, { recursive: true, force: true });
});

/** A workbench in a process of its own in which counts-1 runs, and counts-3 and counts-2 wait, is killed. */
async function killedWorkbench(): Promise<void> {
  const child = spawn(
    process.execPath,
    [fixture, join(parent, 'workspace'), join(parent, 'teacher'), join(parent, 'train.tsv')],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const gone = new Promise((resolve) => child.once('close', resolve));
  await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), gone]);
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
  await gone;
}
/** The same, ended as Ctrl-C ends it, and opened again. */
async function closedWorkbench(): Promise<Application> {
  const { queue } = await open();
  for (let each = 0; each < 3; each += 1) await queue.start(recipe());
  queue.move('counts-3', 0);
  return open();
}
async function open(): Promise<Application> {
  await application?.close();
  application = await openCountingApplication(join(parent, 'workspace'));
  return application;
}
const state = (id: string) => application!.workspace.experiments.get(id).state;
const recipe = () =>
  sampleRecipe('counts', { steps: 50_000, teacher: join(parent, 'teacher'), train: join(parent, 'train.tsv') });
const runs = (id: string): Promise<void> => expect.poll(() => application!.queue.running).toBe(id);

describe('the queue of a workbench that was killed', () => {
  it('is there again in its order, and follows the interrupted experiment when that is resumed', async () => {
    await killedWorkbench();
    await open();
    const { queue } = await open();
    expect(queue.waiting).toEqual(['counts-3', 'counts-2']);
    expect(queue.state).toEqual({ held: true, interrupted: 'counts-1' });
    expect(queue.running).toBeNull();
    expect(['counts-1', 'counts-2', 'counts-3'].map(state)).toEqual(['interrupted', 'created', 'created']);
    expect(queue.view('counts-2')).toMatchObject({ queuePosition: 1, resumable: true });
    queue.resume('counts-1');
    expect(queue.running).toBe('counts-1');
    expect(queue.state).toEqual({ held: false, interrupted: null });
    queue.stop('counts-1', 'cancel');
    await runs('counts-3');
    expect(queue.waiting).toEqual(['counts-2']);
  });
});

describe('the queue of a workbench that was closed', () => {
  it('goes on without the paused experiment where a person wants that', async () => {
    const { queue } = await closedWorkbench();
    expect(state('counts-1')).toBe('paused');
    expect(queue.state).toEqual({ held: true, interrupted: 'counts-1' });
    queue.goOn();
    expect(queue.running).toBe('counts-3');
    expect(queue.waiting).toEqual(['counts-2']);
    expect(queue.state).toEqual({ held: false, interrupted: null });
    expect(state('counts-1')).toBe('paused');
  });

  it('lets a new experiment go first, and a waiting one be started out of its turn', async () => {
    const { queue } = await closedWorkbench();
    const { record } = await queue.start(recipe());
    expect(queue.running).toBe(record.id);
    expect(queue.waiting).toEqual(['counts-3', 'counts-2']);
    await open();
    expect(application!.queue.state).toEqual({ held: true, interrupted: record.id });
    application!.queue.resume('counts-2');
    expect(application!.queue.running).toBe('counts-2');
    expect(application!.queue.waiting).toEqual(['counts-3']);
  });

  it('forgets what was taken out, cancelled or deleted', async () => {
    const { queue } = await closedWorkbench();
    queue.stop('counts-3', 'pause');
    queue.stop('counts-1', 'cancel');
    expect(queue.state).toEqual({ held: true, interrupted: null });
    await open();
    expect(application!.queue.waiting).toEqual(['counts-2']);
    application!.queue.stop('counts-2', 'cancel');
    expect(application!.queue.state).toEqual({ held: false, interrupted: null });
    await open();
    expect(application!.queue.waiting).toEqual([]);
  });
});
