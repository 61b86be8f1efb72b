/** A teacher that is asked once: the same student but for the last digits, whatever happens on the way. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSha256 } from '../../basics/file-digest.ts';
import type { JobEvent } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { modelFolder, taughtFolder } from '../../experiment/folder.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { taughtTokenBytes } from '../../training/taught-rows.ts';
import { makeTinyExperiment, smallest } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { runJob } from '../run-job.ts';
import { keptOf, mostTaughtBytes, taughtBytes } from './ask-once.ts';

let root: string;
/** More than one pass over more rows than are asked about at once. */
let recipe: Recipe;
let prepared: string;
const quiet = { emit: () => undefined, stopRequested: () => null };

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-ask-once-'));
  const tiny = await makeTinyExperiment(root, { pretrain: null }, { ...smallest, trainingRows: 700 });
  prepared = join(root, 'prepared');
  const optimiser = { ...tiny.distil.optimiser, batchSize: 64 };
  const distil = { ...tiny.distil, epochs: 2, steps: 14, lambda: 1, hidden: 0.1, optimiser };
  recipe = { ...tiny, threads: 1, distil: { ...distil, teacherOnce: true } };
  for (const kind of ['finetune', 'refine'] as const) await runJob({ kind, recipe, folder: prepared }, quiet);
});
afterAll(() => rmSync(root, { recursive: true }));

function experiment(name: string): string {
  const folder = join(root, name);
  cpSync(prepared, folder, { recursive: true, preserveTimestamps: true });
  return folder;
}

/** Runs Stage 3. @returns its losses by step, and notes of its progress */
async function distil(folder: string, of: Recipe, until: (event: JobEvent) => boolean = () => false) {
  const losses: number[] = [];
  const notes: string[] = [];
  const said: JobEvent[] = [];
  let stop = false;
  const run = runJob(
    { kind: 'distil', recipe: of, folder },
    {
      emit: (event) => {
        if (event.type === 'metrics' && event.values.loss !== undefined) losses.push(event.values.loss!);
        if (event.type === 'log' && event.text.includes('likeliest next tokens')) said.push(event);
        if (event.type === 'progress' && event.note !== undefined) notes.push(event.note);
        stop ||= until(event);
      },
      stopRequested: () => (stop ? 'pause' : null),
    },
  );
  const stopped = await run.then(
    () => false,
    (thrown: unknown) => {
      expect(thrown).toMatchObject({ request: 'pause' });
      return true;
    },
  );
  return { losses, stopped, said, asked: notes.filter((note) => note.startsWith('the teacher was asked')) };
}
const studentOf = (folder: string): Promise<string> =>
  fileSha256(join(modelFolder(folder, 'student'), 'model.safetensors'));

describe('a teacher that is asked once', () => {
  let undisturbed: string;

  it('teaches what it teaches when it is asked in each pass', async () => {
    const folder = experiment('once');
    const once = await distil(folder, recipe);
    expect(once.asked).toEqual([512, 700].map((rows) => `the teacher was asked about ${rows} of 700 rows`));
    expect(existsSync(taughtFolder(folder))).toBe(false);
    const each = await distil(experiment('each'), { ...recipe, distil: { ...recipe.distil, teacherOnce: undefined } });
    expect(each.asked).toEqual([]);
    expect(once.losses).toHaveLength(14);
    for (const [step, loss] of once.losses.entries())
      expect(Math.abs(loss - each.losses[step]!) / each.losses[step]!, `step ${step + 1}`).toBeLessThan(1e-5);
    undisturbed = await studentOf(folder);
  });

  it('gives the same student bit for bit after stops while it is asked and while the student trains', async () => {
    const folder = experiment('stopped');
    const first = await distil(
      folder,
      recipe,
      (event) => event.type === 'progress' && /about 512/.test(event.note ?? ''),
    );
    expect(first.stopped).toBe(true);
    const second = await distil(folder, recipe, (event) => event.type === 'metrics' && event.step >= 7);
    expect(second.stopped).toBe(true);
    expect(second.asked).toEqual(['the teacher was asked about 700 of 700 rows']);
    const third = await distil(folder, recipe);
    expect(third).toMatchObject({ stopped: false, asked: [] });
    expect(await studentOf(folder)).toBe(undisturbed);
  });

  it('is asked again where a file was damaged or belongs to another teacher', async () => {
    const folder = experiment('damaged');
    await distil(folder, recipe, (event) => event.type === 'metrics' && event.step >= 3);
    const [name] = readdirSync(taughtFolder(folder)).filter((each) => each.endsWith('.f32'));
    const path = join(taughtFolder(folder), name!);
    const bytes = readFileSync(path);
    bytes[1000]! ^= 1;
    writeFileSync(path, bytes);
    expect((await distil(folder, recipe)).asked).toHaveLength(2);
    expect(await studentOf(folder)).toBe(undisturbed);
  });

  it('is asked in each pass where that saves nothing or takes too much disk', async () => {
    const teacher = await modelConfiguration(recipe.teacher);
    const { distil } = recipe;
    const two = { tokens: 1000, steps: 20, stepsPerEpoch: 10 };
    expect(taughtBytes(distil, teacher, two)).toBe(1000 * taughtTokenBytes(teacher, keptOf(distil)));
    expect(taughtBytes({ ...distil, gamma: 0 }, teacher, two)).toBe(1000 * 4 * teacher.hiddenSize);
    expect(taughtBytes(distil, teacher, { ...two, steps: 10 })).toBeNull();
    expect(taughtBytes({ ...distil, teacherOnce: undefined }, teacher, two)).toBeNull();
    const tokens = Math.ceil(mostTaughtBytes / taughtTokenBytes(teacher, keptOf(distil))) + 1;
    expect(taughtBytes(distil, teacher, { ...two, tokens })).toBeNull();
  });

  it('is part of what is said before: time, memory and disk', async () => {
    const forecast = async (teacherOnce: boolean | undefined) => {
      const { stages, size } = await forecastRecipe({ ...recipe, distil: { ...recipe.distil, teacherOnce } });
      const stage = stages.find(({ kind }) => kind === 'distil')!;
      const bytes = (terms: readonly { id: string; bytes: number }[], id: string) =>
        terms.find((term) => term.id === id)?.bytes ?? 0;
      return { size, work: stage.work, disk: bytes(stage.disk, 'taught'), teacher: bytes(stage.memory, 'teacher') };
    };
    const [once, each] = [await forecast(true), await forecast(undefined)];
    const teacher = await modelConfiguration(recipe.teacher);
    expect(once.disk).toBe(once.size.tokens * taughtTokenBytes(teacher, keptOf(recipe.distil)));
    expect(each.disk).toBe(0);
    expect(once.work).toBeLessThan(each.work);
    expect(once.teacher).toBe(4 * teacher.vocabSize * teacher.hiddenSize);
    expect(once.teacher).toBeLessThan(each.teacher);
  });

  describe('of whom the likeliest tokens are kept', () => {
    const top = (changes: object = {}): Recipe => ({
      ...recipe,
      distil: { ...recipe.distil, teacherOnce: undefined, logitsTokens: 'all', tau: 1, teacherTop: 8, ...changes },
    });
    /** Of the demo's 1,536 tokens. */
    const bytesOfEight = 4 * (4 + 4 + 2);

    it('teaches the same but for what is beyond them, without its hidden states', async () => {
      const files: string[] = [];
      const folder = experiment('top');
      const shares: number[] = [];
      const losses = async (of: Recipe, where: string) => {
        const { losses: found, said } = await distil(where, of, () => {
          if (existsSync(taughtFolder(where))) files.push(...readdirSync(taughtFolder(where)));
          return false;
        });
        expect(found).toHaveLength(14);
        for (const event of said) {
          const [, share] = /hold ([\d.]+) %/.exec((event as { text: string }).text)!;
          expect(event).toMatchObject({ level: Number(share) < 50 ? 'warning' : 'info' });
          shares.push(Number(share));
        }
        return found;
      };
      // Only the logits term, so that nothing else hides what it is.
      const plain = { gamma: 0, hidden: undefined } as const;
      const eight = await losses(top(plain), folder);
      expect(new Set(files)).toEqual(new Set(['rows.json', 'top.bin']));
      const exact = await losses(top({ ...plain, teacherTop: undefined }), experiment('exact'));
      const nearlyAll = await losses(top({ ...plain, teacherTop: 1024 }), experiment('nearly-all'));
      const off = (found: number[]): number =>
        Math.max(...found.map((loss, step) => Math.abs(loss - exact[step]!) / exact[step]!));
      expect(off(nearlyAll)).toBeLessThan(0.02);
      expect(off(eight)).toBeGreaterThan(off(nearlyAll));
      // Of the run without them nothing is said.
      expect(shares).toHaveLength(2);
      expect(shares[0]).toBeLessThan(shares[1]!);
    });

    it('gives the same student bit for bit after stops, with what else is kept beside them', async () => {
      const of = top({ tokenWeights: 'cakld' });
      const whole = experiment('top-whole');
      expect((await distil(whole, of)).asked).toHaveLength(2);
      const folder = experiment('top-stopped');
      const asking = (event: JobEvent) => event.type === 'progress' && /about 512/.test(event.note ?? '');
      expect((await distil(folder, of, asking)).stopped).toBe(true);
      const training = (event: JobEvent) => event.type === 'metrics' && event.step >= 7;
      expect((await distil(folder, of, training)).asked).toEqual(['the teacher was asked about 700 of 700 rows']);
      expect(readdirSync(taughtFolder(folder)).sort()).toEqual([
        'hidden.f32',
        'k.f32',
        'q.f32',
        'rows.json',
        'top.bin',
        'v.f32',
      ]);
      expect(await distil(folder, of)).toMatchObject({ stopped: false, asked: [] });
      expect(await studentOf(folder)).toBe(await studentOf(whole));
    });

    it('is asked again for other tokens or another temperature, and not for what changes nothing of them', async () => {
      const folder = experiment('top-other');
      const pause = (of: Recipe) => distil(folder, of, (event) => event.type === 'metrics' && event.step >= 1);
      expect((await pause(top())).asked).toHaveLength(2);
      expect((await pause(top({ lambda: 2 }))).asked).toEqual([]);
      for (const changes of [{ teacherTop: 9 }, { tau: 2 }, { logitsTokens: 'response' }])
        expect((await pause(top(changes))).asked, JSON.stringify(changes)).toHaveLength(2);
    });

    it('is asked once whatever it takes, and needs no memory then; both are said before', async () => {
      const teacher = await modelConfiguration(recipe.teacher);
      const { distil: settings } = top({ gamma: 0, hidden: undefined });
      const one = { tokens: 1000, steps: 10, stepsPerEpoch: 10 };
      expect(taughtBytes(settings, teacher, one)).toBe(1000 * bytesOfEight);
      expect(taughtBytes(settings, teacher, { ...one, tokens: mostTaughtBytes })).toBe(mostTaughtBytes * bytesOfEight);
      // Without the logits term there is nothing that they would be for.
      expect(taughtBytes({ ...settings, lambda: 0 }, teacher, one)).toBeNull();
      const forecast = async (changes: object) => {
        const { stages, size } = await forecastRecipe(top({ gamma: 0, hidden: undefined, ...changes }));
        const stage = stages.find(({ kind }) => kind === 'distil')!;
        const { work, memory, disk } = stage;
        return { size, work, memory: memory.map(({ id }) => id), disk: disk.find(({ id }) => id === 'taught')?.bytes };
      };
      const [kept, once] = [await forecast({}), await forecast({ teacherTop: undefined, teacherOnce: true })];
      expect(kept.disk).toBe(kept.size.tokens * bytesOfEight);
      expect(once.disk).toBe(once.size.tokens * 4 * teacher.hiddenSize);
      expect(kept.memory).not.toContain('teacher');
      expect(once.memory).toContain('teacher');
      expect(kept.work).toBeLessThan(once.work);
    });
  });
});
