/** Rows without labels: which are used, what the teacher answers, who learns from them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, reconstructSettings } from '../../contract/recipe.ts';
import { cacheFolder, teacherFolder } from '../../experiment/folder.ts';
import { classifyRows } from '../../evaluation/answer-classes.ts';
import { onGraphEngine } from '../evaluate/evaluate.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { runJob } from '../run-job.ts';
import { countMoreRows } from '../task/more-rows.ts';
import { openTask } from '../task/open-task.ts';
import { answeredRows } from './answered-rows.ts';

let root: string;
let folder: string;
let recipe: Recipe;
const quiet = { emit: () => undefined, stopRequested: () => null };

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-answered-'));
  const tiny = await makeTinyExperiment(root, { pretrain: null });
  folder = join(root, 'experiment');
  recipe = tiny;
  for (const kind of ['finetune', 'refine'] as const) await runJob({ kind, recipe, folder }, quiet);
});
afterAll(() => rmSync(root, { recursive: true }));

/** A file of rows with the task's text column; `label` where it is given. */
function fileOf(rows: readonly { text: string; label?: string }[]): string {
  const path = join(root, `more-${readdirSync(root).length}.jsonl`);
  const [column] = recipe.task.textColumns;
  writeFileSync(
    path,
    rows
      .map(({ text, label }) =>
        JSON.stringify({ [column!]: text, ...(label === undefined ? {} : { [recipe.task.labelColumn]: label }) }),
      )
      .join('\n'),
  );
  return path;
}
const texts = (count: number): { text: string }[] =>
  Array.from({ length: count }, (_, at) => ({ text: `row ${at} of ${'words '.repeat((at % 5) + 1)}` }));

async function run(kind: JobKind, of: Recipe): Promise<{ events: JobEvent[]; result: unknown }> {
  const events: JobEvent[] = [];
  const result = await runJob({ kind, recipe: of, folder }, { ...quiet, emit: (event) => events.push(event) });
  return { events, result };
}
const logs = (events: readonly JobEvent[]): string =>
  events.flatMap((event) => (event.type === 'log' ? [event.text] : [])).join('\n');

describe('rows without labels', () => {
  it('get the answer that the teacher gives, and keep it', async () => {
    const asked: Recipe = { ...recipe, moreRows: { file: fileOf(texts(40)), rows: 1000 } };
    const rows = (await answeredRows({ kind: 'distil', recipe: asked, folder }, quiet))!;
    const { task } = await openTask({ recipe: asked, folder });
    const found = await Promise.all([...rows.lengths.keys()].map((row) => rows.read(row)));
    expect(found).toHaveLength(40);
    const prompts = found.map(({ ids, responseStart }) => ids.slice(0, responseStart));
    const expected = await onGraphEngine(teacherFolder(folder, asked), 1, (network, head) =>
      classifyRows(network, head, prompts, task.labels!.ids),
    );
    for (const [row, { ids, responseStart }] of found.entries())
      expect([...ids.subarray(responseStart)]).toEqual([...task.labels!.ids[expected[row]!.predicted]!]);
    await rows.close();
    // A second asking finds them, though the engine could not be started now.
    const again = await answeredRows({ kind: 'distil', recipe: { ...asked, threads: 1024 }, folder }, quiet);
    expect(again!.fingerprint).toBe(rows.fingerprint);
    await again!.close();
    const cached = readdirSync(cacheFolder(folder)).filter((name) => name.startsWith('answered'));
    expect(cached.sort()).toEqual(['answered-0.tokens', 'answered-0.tokens.json']);
    // Another teacher answers anew.
    const later = new Date(Date.now() + 60_000);
    utimesSync(join(teacherFolder(folder, asked), 'model.safetensors'), later, later);
    const { events } = await run('distil', asked);
    expect(events.some((event) => event.type === 'progress' && /answered by the teacher/.test(event.note ?? ''))).toBe(
      true,
    );
  });

  it('are learned by the student in Stage 3 alone, for whose length the baseline trains too', async () => {
    const epoch: Recipe = { ...recipe, distil: { ...recipe.distil, epochs: 1, steps: undefined } };
    const file = fileOf(texts(40));
    const asked: Recipe = { ...epoch, moreRows: { file, rows: await countMoreRows(file, epoch.task) } };
    const { task } = await openTask({ recipe, folder });
    const { batchSize } = epoch.distil.optimiser;
    const steps = Math.ceil((task.trainRows + 40) / batchSize);
    expect(steps).toBeGreaterThan(Math.ceil(task.trainRows / batchSize));
    const { events, result } = await run('distil', asked);
    expect(result).toEqual({ steps });
    expect(logs(events)).toMatch(/The teacher answered 40 rows without labels: .+ \d+ %, .+ \d+ %\./);
    expect((await run('baseline', asked)).result).toEqual({ steps });
    const { stages } = await forecastRecipe(asked);
    for (const kind of ['distil', 'baseline'])
      expect(stages.find((stage) => stage.kind === kind)!.steps, kind).toBe(steps);
    expect(stages.find(({ kind }) => kind === 'finetune')!.steps).toBe(
      (await forecastRecipe(epoch)).stages.find(({ kind }) => kind === 'finetune')!.steps,
    );
  });

  it('are never rows with a label or evaluation rows, and their number is bounded', async () => {
    const [header, first] = readFileSync(recipe.task.dev!, 'utf8').split('\n');
    const evaluated = first!.split('\t')[header!.split('\t').indexOf(recipe.task.textColumns[0]!)]!;
    const { task } = await openTask({ recipe, folder });
    const [label] = task.labels!.classes;
    const file = fileOf([...texts(3), { text: 'labelled', label: label! }, { text: ' ' }, { text: evaluated }]);
    const answered = async (moreRows: NonNullable<Recipe['moreRows']>) => {
      const events: JobEvent[] = [];
      const spec = { kind: 'distil' as const, recipe: { ...recipe, moreRows }, folder };
      const rows = (await answeredRows(spec, { ...quiet, emit: (event) => events.push(event) }))!;
      await rows.close();
      return { count: rows.lengths.length, said: logs(events) };
    };
    const { count, said } = await answered({ file, rows: 100 });
    expect(count).toBe(3);
    expect(said).toContain('1 rows of ' + file + ' are left out: they have a label');
    expect(said).toContain('they have no text.');
    expect(said).toContain('they are evaluation rows.');
    expect((await answered({ file, rows: 2 })).count).toBe(2);
    expect(await countMoreRows(file, recipe.task)).toBe(4);
    expect(await countMoreRows(file, recipe.task, 2)).toBe(2);
    const without = fileOf([
      { text: 'one', label: 'n/a' },
      { text: 'two', label: label! },
    ]);
    expect(await countMoreRows(without, { ...recipe.task, rules: 2 })).toBe(1);
    const labelled = fileOf([{ text: 'one', label: label! }]);
    await expect(countMoreRows(labelled, recipe.task)).rejects.toMatchObject({ code: 'bad-input' });
    await expect(answered({ file: labelled, rows: 1 })).rejects.toThrow(/no row without a label: 1 of its rows/);
  });

  it('are windows’ rows too, and a stop keeps the parts that are answered', async () => {
    const file = fileOf(texts(1200));
    const optimiser = { ...recipe.distil.optimiser, batchSize: 64, microBatchTokens: 4096 };
    const reconstruct = reconstructSettings.parse({ epochs: 1, optimiser });
    const asked: Recipe = { ...recipe, reconstruct, moreRows: { file, rows: 5000 } };
    let paused = false;
    const events: JobEvent[] = [];
    const emit = (event: JobEvent): void => {
      events.push(event);
      paused ||= event.type === 'progress' && /^1\d\d\d of 1200 rows/.test(event.note ?? '');
    };
    const spec = { kind: 'reconstruct' as const, recipe: asked, folder };
    await expect(runJob(spec, { emit, stopRequested: () => (paused ? 'pause' : null) })).rejects.toMatchObject({
      request: 'pause',
    });
    const { events: after, result } = await run('reconstruct', asked);
    const notes = after.flatMap((event) => (event.type === 'progress' ? [event.note ?? ''] : []));
    expect(notes.filter((note) => /answered/.test(note)).every((note) => /^1\d\d\d of/.test(note))).toBe(true);
    const { task } = await openTask({ recipe, folder });
    expect(result).toMatchObject({ windows: 1, steps: Math.ceil((task.trainRows + 1200) / 64) });
  });
});
