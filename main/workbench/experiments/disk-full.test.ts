/** The workbench itself on a full disk: curves, settings, drafts, notes and new experiments. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { createRouterClient, ORPCError } from '@orpc/server';
import { mountSmallDisk, noSmallDisk } from '../../testing/small-disk.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { openCountingApplication, writeCountedFiles } from '../fixtures/counting-application.ts';
import { workbenchRouter } from '../interface/procedures/router.ts';

const disk = mountSmallDisk(8);
if (disk === null) process.stdout.write(`${noSmallDisk}\n`);
const parent = mkdtempSync(join(tmpdir(), 'tritsmith-full-'));
afterAll(() => {
  disk?.unmount();
  rmSync(parent, { recursive: true, force: true });
});

interface Told {
  code: string;
  message: string;
  cause?: string;
  remedy?: string;
}
async function told(action: Promise<unknown>): Promise<Told> {
  const thrown: unknown = await action.catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(ORPCError);
  return (thrown as ORPCError<string, Told>).data;
}

describe.skipIf(disk === null)('a workbench whose disk is full', () => {
  it('says so at every write, loses nothing that was there, and goes on when there is room', async () => {
    const paths = writeCountedFiles(parent);
    const folder = join(disk!.folder, 'workspace');
    const application = await openCountingApplication(folder);
    const client = createRouterClient(workbenchRouter(), { context: { application } });
    const recipe = sampleRecipe('counts', { steps: 700, ...paths });
    const until = async (state: string, id: string): Promise<void> => {
      for (let waited = 0; waited < 100_000; waited += 20) {
        if ((await client.experiments.get({ id })).record.state === state) return;
        await sleep(20);
      }
      throw new Error(`${id} never became ${state}.`);
    };
    try {
      await client.application.changeSettings({ theme: 'dark' });
      await client.drafts.save({ id: 'first', title: 'First', content: { step: 1 } });
      const { record } = await client.experiments.start({ recipe });
      while (((await client.experiments.get({ id: record.id })).live?.done ?? 0) <= 100) await sleep(10);

      disk!.fill();
      await until('failed', record.id);
      const failed = (await client.experiments.get({ id: record.id })).record;
      expect(failed.error?.code).toBe('no-space');
      expect(failed.error?.message).toContain('The disk is full');
      expect(failed.error?.remedy).toMatch(/Free .* then resume/);

      const actions: Record<string, Promise<unknown>> = {
        'settings.json': client.application.changeSettings({ theme: 'light' }),
        'first.json': client.drafts.save({ id: 'first', title: 'x'.repeat(150), content: 'y'.repeat(9000) }),
        'annotations.json': client.experiments.annotate({ id: record.id, notes: 'z'.repeat(9000) }),
        workspace: client.experiments.start({ recipe }),
      };
      for (const [name, action] of Object.entries(actions)) {
        const error = await told(action);
        expect([name, error.code], error.message).toEqual([name, 'no-space']);
        expect(error.message).toMatch(/^The disk is full/);
        expect(error.message).toContain(name);
        expect(error.remedy).toMatch(/^Free /);
      }
      expect((await client.application.settings()).theme).toBe('dark');
      expect((await client.drafts.list()).map(({ title }) => title)).toEqual(['First']);
      const left = readdirSync(folder, { recursive: true }).map(String);
      expect(left.filter((name) => /\.tmp$|\.new$|\.partial$/.test(name) && !name.includes('last.json'))).toEqual([]);

      disk!.free();
      expect((await client.application.changeSettings({ theme: 'light' })).theme).toBe('light');
      expect((await client.experiments.get({ id: record.id })).resumable).toBe(true);
      await client.experiments.resume({ id: record.id });
      await until('done', record.id);
      const { step } = JSON.parse(readFileSync(join(folder, 'experiments', record.id, 'evaluate.json'), 'utf8')) as {
        step: number;
      };
      expect(step).toBe(700);
      const [loss] = await client.experiments.curves({ id: record.id, names: ['finetune/loss'], points: 1000 });
      expect(loss!.points.map((point) => point.step)).toEqual(Array.from({ length: 700 }, (_, index) => index + 1));
      expect(application.workspace.database.pragma('integrity_check', { simple: true })).toBe('ok');
    } finally {
      await application.close();
    }
  });
});

const large = mountSmallDisk(48);
afterAll(() => {
  large?.unmount();
});

describe.skipIf(large === null)('a workbench that is opened on a full disk', () => {
  it('says what is full and what to do, and takes what is removed to make room', async () => {
    const folder = join(large!.folder, 'workspace');
    const paths = writeCountedFiles(mkdtempSync(join(parent, 'opened-')));
    const open = async () => {
      const application = await openCountingApplication(folder);
      return { application, client: createRouterClient(workbenchRouter(), { context: { application } }) };
    };
    const first = await open();
    const { record } = await first.client.experiments.start({
      recipe: sampleRecipe('counts', { steps: 700, ...paths }),
    });
    await first.client.experiments.cancel({ id: record.id });
    expect((await first.client.application.information()).notices).toEqual([]);
    await first.application.close();
    const experiment = join(folder, 'experiments', record.id);
    writeFileSync(join(experiment, 'large'), Buffer.alloc(20e6));

    large!.fill();
    const second = await open();
    const { notices } = await second.client.application.information();
    expect(notices).toEqual([expect.stringMatching(/^The disk is full: .* free .*\. Free some space .* or remove/)]);
    expect(notices[0]).toContain(folder);
    expect((await second.client.experiments.list()).map(({ id }) => id)).toEqual([record.id]);
    await second.client.experiments.remove({ id: record.id });
    await second.application.close();

    const third = await open();
    expect(existsSync(experiment)).toBe(false);
    expect(await third.client.experiments.list()).toEqual([]);
    await third.application.close();
    large!.free();

    // There is room again, and a reserve for the next time: removing takes it while the workbench runs.
    const fourth = await open();
    expect((await fourth.client.application.information()).notices).toEqual([]);
    expect(statSync(fourth.application.workspace.paths.reserve).size).toBeGreaterThan(1e6);
    const another = (
      await fourth.client.experiments.start({ recipe: sampleRecipe('counts', { steps: 700, ...paths }) })
    ).record;
    await fourth.client.experiments.cancel({ id: another.id });
    large!.fill();
    expect(await told(fourth.client.application.changeSettings({ theme: 'dark' }))).toMatchObject({ code: 'no-space' });
    await fourth.client.experiments.remove({ id: another.id });
    expect(await fourth.client.experiments.list()).toEqual([]);
    await fourth.application.close();
  });
});
