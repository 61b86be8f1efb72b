/** What a person sees, and can do, when the training process stops answering: real processes, stopped and continued by signals. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import type { Application } from '../interface/application.ts';
import { openCountingApplication, writeCountedFiles } from '../fixtures/counting-application.ts';

let parent: string;
let application: Application;

async function open(silentAfterSeconds: number): Promise<void> {
  application = await openCountingApplication(join(parent, 'workspace'), {
    silence: { silentAfterMinutes: silentAfterSeconds / 60, heartbeatSeconds: 0.15 },
  });
}
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-hang-'));
  writeCountedFiles(parent);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await application.close();
  rmSync(parent, { recursive: true, force: true });
});

function recipe(steps: number, name = 'counts') {
  return sampleRecipe(name, { steps, teacher: join(parent, 'teacher'), train: join(parent, 'train.tsv') });
}
async function until<T>(found: () => T | null | undefined | false): Promise<T> {
  for (let waited = 0; waited < 100_000; waited += 10) {
    const value = found();
    if (value !== null && value !== undefined && value !== false) return value;
    await sleep(10);
  }
  throw new Error('It never came.');
}
function worker(id: string): number {
  const path = join(application.workspace.experimentFolder(id), 'worker.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid;
}
const live = (id: string) => application.queue.view(id).live;
const state = (id: string) => application.workspace.experiments.get(id).state;
const value = (id: string): unknown =>
  JSON.parse(readFileSync(join(application.workspace.experimentFolder(id), 'evaluate.json'), 'utf8'));

describe('a worker that hangs', () => {
  it('is noticed, can be restarted, and the result is that of an undisturbed run', async () => {
    await open(0.6);
    const { record: whole } = await application.queue.start(recipe(60));
    await until(() => state(whole.id) === 'done');

    const { record: hung } = await application.queue.start(recipe(60, 'waits in finetune'));
    await until(() => live(hung.id)?.done === 20);
    const first = worker(hung.id);
    process.kill(first, 'SIGSTOP');
    const minutes = await until(() => live(hung.id)?.silentMinutes);
    expect(minutes).toBeGreaterThanOrEqual(0.59 / 60);
    expect(application.queue.restart(hung.id).live?.stopping).toBe('restart');
    await until(() => state(hung.id) === 'done');
    expect(() => process.kill(first, 0)).toThrow('ESRCH');
    expect(value(hung.id)).toEqual(value(whole.id));
  });

  it('in a loop without end is noticed and restarted as well, though it uses the processor and hears nothing', async () => {
    await open(0.6);
    const { record: whole } = await application.queue.start(recipe(60));
    await until(() => state(whole.id) === 'done');

    const { record: hung } = await application.queue.start(recipe(60, 'spins once'));
    await until(() => existsSync(join(application.workspace.experimentFolder(hung.id), 'spun')));
    const first = worker(hung.id);
    await until(() => live(hung.id)?.silentMinutes);
    expect(live(hung.id)?.done).toBe(20);
    application.queue.restart(hung.id);
    await until(() => state(hung.id) === 'done');
    expect(() => process.kill(first, 0)).toThrow('ESRCH');
    expect(value(hung.id)).toEqual(value(whole.id));
  });

  it('that only paused for breath is forgiven', async () => {
    await open(0.5);
    const { record } = await application.queue.start(recipe(60, 'waits in finetune'));
    await until(() => live(record.id)?.done === 20);
    process.kill(worker(record.id), 'SIGSTOP');
    await until(() => live(record.id)?.silentMinutes);
    process.kill(worker(record.id), 'SIGCONT');
    await until(() => live(record.id)?.silentMinutes === null);
    expect(state(record.id)).toBe('running');
  });

  it('does not hold up the closing of the workbench', async () => {
    await open(0.3);
    const { record } = await application.queue.start(recipe(60, 'waits in finetune'));
    await until(() => live(record.id)?.done === 20);
    const pid = worker(record.id);
    process.kill(pid, 'SIGSTOP');
    await application.close();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

describe('time', () => {
  it('in which the worker was suspended is neither work nor pace', async () => {
    await open(60);
    const begun = performance.now();
    const { record } = await application.queue.start(recipe(50_000));
    const before = await until(() => ((live(record.id)?.done ?? 0) >= 150 ? live(record.id) : null));
    // No silence of this worker was longer; a stop is told by five times the longest.
    const longest = performance.now() - begun;
    const suspended = Math.max(3000, 8 * longest);
    process.kill(worker(record.id), 'SIGSTOP');
    await sleep(suspended);
    process.kill(worker(record.id), 'SIGCONT');
    const after = await until(() => {
      const now = live(record.id);
      return now !== null && now.done >= before.done + 60 ? now : null;
    });
    const worked = performance.now() - begun - suspended;
    expect(after.stageElapsedSeconds).toBeLessThan((worked + suspended / 2) / 1000);
    // As pace it would be at least this for the steps that are left; without it, the pace is an eighth of that and less.
    const counted = (suspended / 1000) * ((50_000 - after.done) / after.done);
    expect(after.stageSeconds!.high).toBeLessThan(counted / 2);
  });

  it('is measured by a clock that cannot be set: a jump of a day either way changes nothing', async () => {
    await open(60);
    const real = Date.now.bind(Date);
    let jump = 0;
    vi.spyOn(Date, 'now').mockImplementation(() => real() + jump);
    const { record } = await application.queue.start(recipe(50_000));
    for (const milliseconds of [86_400_000, -86_400_000, 3_600_000]) {
      const before = live(record.id)?.done ?? 0;
      jump = milliseconds;
      const now = await until(() => {
        const found = live(record.id);
        return found !== null && found.done >= before + 40 && found.stageSeconds !== null ? found : null;
      });
      // The smallest jump is an hour.
      expect(now.stageSeconds!.high).toBeLessThan(1800);
      expect(now.elapsedSeconds).toBeGreaterThanOrEqual(0);
      expect(now.elapsedSeconds).toBeLessThan(1800);
    }
    application.queue.stop(record.id, 'pause');
    const paused = await until(() =>
      state(record.id) === 'paused' ? application.workspace.experiments.get(record.id) : null,
    );
    const seconds = paused.stages.reduce((sum, stage) => sum + stage.seconds, 0);
    expect(seconds).toBeGreaterThan(0.1);
    expect(seconds).toBeLessThan(1800);
  });
});
