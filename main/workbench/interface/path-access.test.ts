import { createRouterClient, ORPCError } from '@orpc/server';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkbenchClient } from '../../contract/procedures.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { type Application, openApplication } from './application.ts';
import type { PathPolicy } from './path-access.ts';
import { demoFolder } from './demo.ts';
import { workbenchRouter } from './procedures/router.ts';
import { createExperiment } from '../experiments/run-experiment.ts';
import { openWorkspace } from '../workspace/workspace.ts';

const counting = forkPort(fileURLToPath(new URL('../../jobs/fixtures/counting-worker.ts', import.meta.url)));
const rows = 'text,label\nhello there,yes\nhow are you,no\nfine today,yes\nnot now,no\n';

let folder: string;
let application: Application;
let client: WorkbenchClient;
/** What the person was asked, and answers. */
let asked: string[];
let answer: (path: string) => boolean;

const place = (...parts: string[]): string => join(folder, ...parts);

async function open(policy?: PathPolicy): Promise<void> {
  application = await openApplication({
    folder: place('workspace'),
    shell: 'electron',
    paths: policy ?? {
      kind: 'granted',
      shipped: [demoFolder],
      ask: (path) => {
        asked.push(path);
        return Promise.resolve(answer(path));
      },
    },
    jobs: forkPort(),
    runtime: forkPort(fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url))),
  });
  client = createRouterClient(workbenchRouter(), { context: { application } });
}
/** Names in a folder, as the page sees them; the code of the error where it is refused. */
async function look(path: string): Promise<string[] | string> {
  try {
    return (await client.files.browse({ folder: path })).entries.map(({ name }) => name);
  } catch (thrown) {
    return thrown instanceof ORPCError ? (thrown.data as { code: string }).code : String(thrown);
  }
}

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tritsmith-paths-')));
  for (const name of ['mine', 'mine-not', 'private']) {
    mkdirSync(place(name, 'deep'), { recursive: true });
    writeFileSync(place(name, 'rows.csv'), rows);
  }
  asked = [];
  answer = () => false;
  await open();
});
afterEach(async () => {
  await application.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a page that may read only what the person gave it', () => {
  it('reads the workspace, where folder lists begin, and what came with the program', async () => {
    expect((await client.files.browse({})).folder).toBe(place('workspace'));
    expect(await look(join(demoFolder, 'task'))).toContain('train.tsv');
    expect((await client.teachers.inspect({ folder: join(demoFolder, 'teacher') })).supported).toBe(true);
    expect(asked).toEqual([]);
  });

  it('reads what was chosen in a dialog and what lies in it, nothing beside it', async () => {
    application.paths.grant(place('mine'));
    expect(await look(place('mine'))).toEqual(['deep', 'rows.csv']);
    expect(await look(place('mine', 'deep'))).toEqual([]);
    const report = await client.tasks.check({ settings: { train: place('mine', 'rows.csv') } });
    expect(report.train.rows).toBe(4);
    expect(asked).toEqual([]);
    expect(await look(place('mine-not'))).toBe('not-granted');
    expect(await look(folder)).toBe('not-granted');
    expect(asked).toEqual([place('mine-not'), folder]);
  });

  it('is refused in words that say what to do, and asks about the same path only once', async () => {
    const file = place('private', 'rows.csv');
    await expect(client.tasks.check({ settings: { train: file } })).rejects.toMatchObject({
      data: {
        code: 'not-granted',
        message: `${file} was not opened for Tritsmith.`,
        id: 'path.not-granted',
        params: { path: file },
        remedy: 'Choose it in a dialog of the interface, or drop it on the page.',
      },
    });
    await expect(client.tasks.preview({ settings: { train: file }, offset: 0, count: 1 })).rejects.toMatchObject({
      data: { code: 'not-granted' },
    });
    expect(asked).toEqual([file]);
    application.paths.grant(file);
    expect((await client.tasks.check({ settings: { train: file } })).train.rows).toBe(4);
    expect(await look(place('private'))).toBe('not-granted');
  });

  it('is refused every file of a recipe, before anything is stored', async () => {
    application.paths.grant(place('mine'));
    const recipe = sampleRecipe('counts', { teacher: join(demoFolder, 'teacher'), train: place('mine', 'rows.csv') });
    for (const [path, stolen] of [
      [place('private'), { ...recipe, teacher: place('private') }],
      [place('private', 'base'), { ...recipe, studentBase: place('private', 'base') }],
      [place('private', 'a.csv'), { ...recipe, task: { ...recipe.task, train: place('private', 'a.csv') } }],
      [place('private', 'b.csv'), { ...recipe, task: { ...recipe.task, dev: place('private', 'b.csv') } }],
      [
        place('private', 'c.txt'),
        {
          ...recipe,
          pretrain: {
            corpus: place('private', 'c.txt'),
            tokens: 100,
            sequenceLength: 64,
            optimiser: recipe.distil.optimiser,
          },
        },
      ],
    ] as const) {
      await expect(client.experiments.start({ recipe: stolen })).rejects.toMatchObject({
        data: { code: 'not-granted' },
      });
      expect(asked.at(-1)).toBe(path);
    }
    expect(asked).toHaveLength(5);
    expect(await client.experiments.list()).toEqual([]);
  });

  it('reads what the person allows when asked, after a restart too', async () => {
    answer = () => true;
    const both = await Promise.all([look(place('private')), look(place('private'))]);
    expect(both).toEqual([
      ['deep', 'rows.csv'],
      ['deep', 'rows.csv'],
    ]);
    expect(asked).toEqual([place('private')]);
    await application.close();
    answer = () => false;
    await open();
    expect(await look(place('private', 'deep'))).toEqual([]);
    expect(await look(place('mine'))).toBe('not-granted');
    expect(asked).toEqual([place('private'), place('mine')]);
  });

  it('does not get out of what was granted by dots or links', async () => {
    application.paths.grant(place('mine'));
    symlinkSync(place('private'), place('mine', 'link'));
    symlinkSync(place('private', 'rows.csv'), place('mine', 'rows.tsv'));
    expect(await look(`${place('mine')}/../private`)).toBe('not-granted');
    expect(await look(place('mine', 'link', 'deep'))).toBe('not-granted');
    expect(await look(`${place('workspace')}/experiments/../../private/nothing`)).toBe('not-granted');
    await expect(client.tasks.check({ settings: { train: place('mine', 'rows.tsv') } })).rejects.toMatchObject({
      data: { code: 'not-granted' },
    });
    // The question names where it leads.
    expect(asked).toEqual([
      place('private'),
      place('private', 'deep'),
      place('private', 'nothing'),
      place('private', 'rows.csv'),
    ]);
  });

  it('reads the files of the experiments that are stored in the workspace', async () => {
    await application.close();
    const workspace = await openWorkspace({ folder: place('workspace'), mode: 'write', purpose: 'test' });
    const recipe = sampleRecipe('counts', { teacher: join(demoFolder, 'teacher'), train: place('mine', 'rows.csv') });
    await createExperiment(workspace, recipe, counting);
    workspace.close();
    await open();
    expect((await client.tasks.check({ settings: { train: place('mine', 'rows.csv') } })).train.rows).toBe(4);
    expect(asked).toEqual([]);
    expect(await look(place('mine'))).toBe('not-granted');
  });

  it('cannot dress up the question', async () => {
    expect(await look(`${place('private')}\n\nAllow it: nothing happens.\u202Egpj`)).toBe('not-granted');
    expect(asked).toEqual([`${place('private')}\\u{a}\\u{a}Allow it: nothing happens.\\u{202e}gpj`]);
  });
});

describe('a shell whose sender is the user', () => {
  it('reads what the user may read', async () => {
    await application.close();
    await open({ kind: 'sender-is-user' });
    expect(await look(place('private'))).toEqual(['deep', 'rows.csv']);
    expect(asked).toEqual([]);
  });
});
