import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { TeacherCard } from '../../contract/queries.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { readAnnotations } from '../../experiment/annotations.ts';
import { changeAnnotations } from '../experiments/annotations.ts';
import { noteDamage } from './database-suspicion.ts';
import { EventRecorder } from '../experiments/event-recorder.ts';
import { writeExperimentFile } from '../../experiment/record.ts';
import { describeMachine } from '../machine/machine.ts';
import { identityOf, whereabouts } from '../experiments/process-identity.ts';
import { openWorkspace, type Workspace } from './workspace.ts';
import { defaultWorkspaceFolder } from './workspace-folder.ts';

let parent: string;
let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-workspace-'));
  folder = join(parent, 'workspace');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(parent, { recursive: true, force: true });
});

async function failure(promise: Promise<unknown>): Promise<TritsmithError> {
  const thrown: unknown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TritsmithError);
  return thrown as TritsmithError;
}

function open(mode: 'read' | 'write' = 'write'): Promise<Workspace> {
  return openWorkspace({ folder, mode, purpose: 'test', waitMilliseconds: 100 });
}

/** Another process that holds the workspace. */
async function holder(): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('../fixtures/hold-workspace.ts', import.meta.url)), folder],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

const smallTeacher: TeacherCard = {
  folder: '/models/small',
  supported: true,
  architecture: 'qwen3',
  layers: 2,
  hiddenSize: 64,
  ffnSize: 128,
  heads: 2,
  kvHeads: 1,
  headDim: 32,
  vocabularySize: 1536,
  contextLength: 128,
  tiedEmbedding: true,
  parameters: 180_000,
  bodyParameters: 80_000,
  exports: [],
  weightBytes: 720_000,
  weightTypes: ['F32'],
  weightFiles: 1,
  tokenizer: { kind: 'BPE', tokens: 1536 },
  licence: null,
  student: { bodyBytes: 20_000, fileBytes: 220_000 },
  warnings: [],
};

function gone(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('exit', resolve));
}

function addExperiment(
  workspace: Workspace,
  id: string,
  state: ExperimentRecord['state'] = 'paused',
): ExperimentRecord {
  const record: ExperimentRecord = {
    id,
    name: id,
    state,
    recipe: sampleRecipe(id),
    seed: 7,
    created: 1000,
    started: 2000,
    ended: null,
    machine: describeMachine(),
    versions: { node: '24' },
    error: null,
    stages: [
      {
        position: 0,
        kind: 'distil',
        weight: 1,
        state: state === 'running' ? 'running' : 'paused',
        done: 3,
        total: 9,
        unit: 'steps',
        started: 2000,
        ended: null,
        seconds: 1.5,
        error: null,
        result: null,
      },
    ],
    artifacts: [{ name: 'student', stage: 'distil', path: 'student/model.safetensors', bytes: 12, sha256: 'ab' }],
  };
  mkdirSync(workspace.experimentFolder(id), { recursive: true });
  workspace.experiments.add(record);
  writeExperimentFile(workspace.experimentFolder(id), record);
  return record;
}

describe('the workspace folder', () => {
  it('lies where the system keeps user data', () => {
    expect(defaultWorkspaceFolder('linux', {}, '/home/ann')).toBe('/home/ann/.local/share/tritsmith');
    expect(defaultWorkspaceFolder('linux', { XDG_DATA_HOME: '/data' }, '/home/ann')).toBe('/data/tritsmith');
    expect(defaultWorkspaceFolder('linux', { XDG_DATA_HOME: 'relative' }, '/home/ann')).toBe(
      '/home/ann/.local/share/tritsmith',
    );
    expect(defaultWorkspaceFolder('darwin', {}, '/Users/ann')).toBe('/Users/ann/Library/Application Support/Tritsmith');
  });

  it('is for its owner alone', async () => {
    (await open()).close();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('that cannot be made is a typed error with a remedy', async () => {
    writeFileSync(folder, 'a file in the way');
    const error = await failure(open());
    expect(error.code).toBe('not-writable');
    expect(error.remedy).toContain('--workspace');
  });

  it.runIf(existsSync('/proc/self'))('on a read-only file system is a typed error and leaves nothing', async () => {
    const error = await failure(openWorkspace({ folder: '/proc/tritsmith', mode: 'write', purpose: 'test' }));
    expect(error.code).toBe('not-writable');
  });
});

describe('a second workbench', () => {
  it('is told which process holds the workspace and what it does', async () => {
    const child = await holder();
    const error = await failure(open());
    expect(error.code).toBe('locked');
    expect(error.reason).toContain(`process ${String(child.pid)}`);
    expect(error.reason).toContain('tritsmith run (test)');
  });

  it('may look on', async () => {
    const workspace = await open();
    addExperiment(workspace, 'looked-at');
    workspace.close();
    await holder();
    const looking = await open('read');
    expect(looking.readOnly).toBe(true);
    expect(looking.experiments.list().map((record) => record.id)).toEqual(['looked-at']);
    looking.close();
  });

  it('waits a moment for the first to finish', async () => {
    const child = await holder();
    setTimeout(() => child.kill('SIGKILL'), 100);
    const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'test', waitMilliseconds: 100_000 });
    workspace.close();
  });

  it('takes over the lock of one that was killed', async () => {
    const child = await holder();
    child.kill('SIGKILL');
    await gone(child);
    expect(existsSync(join(folder, 'workbench.lock'))).toBe(true);
    (await open()).close();
    expect(existsSync(join(folder, 'workbench.lock'))).toBe(false);
  });

  it('is not fooled by a new process with the old number', async () => {
    (await open()).close();
    const old = { ...identityOf(process.pid), startTime: 'another boot:1', purpose: 'old', since: 1 };
    expect(whereabouts(old)).toBe('gone');
    writeFileSync(join(folder, 'workbench.lock'), JSON.stringify(old));
    (await open()).close();
  });

  it('respects a lock from another machine and says which file to delete', async () => {
    (await open()).close();
    const lock = join(folder, 'workbench.lock');
    writeFileSync(lock, JSON.stringify({ ...identityOf(process.pid), host: 'elsewhere', purpose: 'run', since: 1 }));
    const error = await failure(open());
    expect(error.code).toBe('locked');
    expect(error.remedy).toContain(lock);
  });

  it('within the same process is refused as well', async () => {
    const first = await open();
    expect((await failure(open())).code).toBe('locked');
    first.close();
    (await open()).close();
  });
});

describe('the database', () => {
  it.each([
    [
      'overwritten with noise',
      (path: string) => {
        writeFileSync(path, Buffer.alloc(8192, 0xa5));
      },
    ],
    [
      'cut in the middle',
      (path: string) => {
        truncateSync(path, 5000);
      },
    ],
    [
      'damaged inside',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes.fill(0xff, 4096, bytes.length - 100);
        writeFileSync(path, bytes);
      },
    ],
  ])('that was %s is kept aside and rebuilt from the experiment folders', async (_, damage) => {
    const workspace = await open();
    const record = addExperiment(workspace, 'precious');
    const recorder = new EventRecorder(
      workspace,
      'precious',
      { kind: 'distil', position: 0, seconds: () => 0 },
      (error) => {
        throw error;
      },
    );
    for (let step = 1; step <= 300; step++)
      recorder.record({ type: 'metrics', step, values: { loss: step === 7 ? NaN : 1 / step } });
    recorder.record({ type: 'log', level: 'warning', text: 'A row was cut.' });
    recorder.record({ type: 'progress', done: 3, total: 9, unit: 'steps', resumed: 0 });
    recorder.close();
    appendFileSync(join(workspace.experimentFolder('precious'), 'events.jsonl'), '{"name":"distil/loss","poi');
    changeAnnotations(workspace, 'precious', { tags: ['keep'], notes: 'The good one.' });
    workspace.teachers.put('small', smallTeacher);
    const loss = workspace.metrics.read('precious', 'distil/loss');
    const logs = workspace.experiments.logs('precious');
    const teachers = workspace.teachers.list();
    expect([loss.length, logs.length, teachers.length]).toEqual([300, 1, 1]);
    workspace.database.pragma('wal_checkpoint(TRUNCATE)');
    workspace.close();
    damage(join(folder, 'workbench.sqlite'));
    const reopened = await open();
    expect(reopened.experiments.list()).toEqual([record]);
    expect(reopened.metrics.read('precious', 'distil/loss')).toEqual(loss);
    expect(reopened.experiments.logs('precious')).toEqual(logs);
    expect(reopened.teachers.list()).toEqual(teachers);
    expect(readAnnotations(reopened.experimentFolder('precious'))).toMatchObject({ tags: ['keep'], notes: 'The good one.' });
    expect(reopened.notices.join('\n')).toMatch(/damaged.*workbench\.sqlite\.damaged-/);
    reopened.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('workbench.sqlite.damaged-')).length).toBeGreaterThan(
      0,
    );
    const again = await open();
    expect(again.notices).toEqual([]);
    again.close();
  });

  it('whose damage is met while it is used is checked whole at the next start', async () => {
    const workspace = await open();
    addExperiment(workspace, 'one');
    workspace.close();
    const path = join(folder, 'workbench.sqlite');
    noteDamage(path, new Error('some other mishap'));
    expect(existsSync(`${path}.suspect`)).toBe(false);
    noteDamage(path, new Database.SqliteError('database disk image is malformed', 'SQLITE_CORRUPT'));
    expect(existsSync(`${path}.suspect`)).toBe(true);
    (await open()).close();
    expect(existsSync(`${path}.suspect`)).toBe(false);
  });

  it('that was lost is rebuilt, and an unreadable experiment file is named', async () => {
    const workspace = await open();
    const record = addExperiment(workspace, 'kept');
    workspace.close();
    for (const name of readdirSync(folder)) if (name.startsWith('workbench.sqlite')) rmSync(join(folder, name));
    mkdirSync(join(folder, 'experiments', 'torn'));
    writeFileSync(join(folder, 'experiments', 'torn', 'experiment.json'), '{"id": "torn", ');
    const reopened = await open();
    expect(reopened.experiments.list()).toEqual([record]);
    expect(reopened.notices.join('\n')).toContain(join('torn', 'experiment.json'));
    reopened.close();
  });

  it('of an older version is copied before it is brought to the newest', async () => {
    mkdirSync(folder, { recursive: true });
    const old = new Database(join(folder, 'workbench.sqlite'));
    old.exec(readFileSync(new URL('./migrations/0001-experiments.sql', import.meta.url), 'utf8'));
    old.pragma('user_version = 1');
    old.close();
    const workspace = await open();
    const version = workspace.database.pragma('user_version', { simple: true }) as number;
    expect(version).toBeGreaterThan(1);
    expect(addExperiment(workspace, 'new').id).toBe('new');
    workspace.close();
    const [copy, ...more] = readdirSync(folder).filter((name) => name.startsWith('workbench.sqlite.version-1-'));
    expect(more).toEqual([]);
    expect(workspace.notices.join('\n')).toContain(join(folder, copy!));
    const before = new Database(join(folder, copy!), { readonly: true });
    expect(before.pragma('user_version', { simple: true })).toBe(1);
    const tables = before.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
    expect(tables).toContain('experiments');
    before.close();
    const again = await open();
    expect(again.notices.join('\n')).not.toContain('older version');
    again.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('workbench.sqlite.version-'))).toEqual([copy]);
  });

  it('of a newer version is refused untouched', async () => {
    const workspace = await open();
    workspace.database.pragma('user_version = 99');
    workspace.close();
    const error = await failure(open());
    expect(error.code).toBe('unsupported');
    expect(error.reason).toContain('99');
    expect(existsSync(join(folder, 'workbench.lock'))).toBe(false);
  });

  it('never keeps an experiment running whose workbench is gone', async () => {
    const workspace = await open();
    addExperiment(workspace, 'orphaned', 'running');
    workspace.close();
    const reopened = await open();
    const record = reopened.experiments.get('orphaned');
    expect([record.state, record.stages[0]!.state]).toEqual(['interrupted', 'interrupted']);
    expect(reopened.interrupted).toEqual(['orphaned']);
    reopened.close();
  });

  it('opens where someone deleted the folder of an experiment that was running', async () => {
    const workspace = await open();
    addExperiment(workspace, 'orphaned', 'running');
    const lost = workspace.experimentFolder('orphaned');
    workspace.close();
    rmSync(lost, { recursive: true });
    const reopened = await open();
    expect(reopened.experiments.get('orphaned').state).toBe('interrupted');
    expect(existsSync(join(lost, 'experiment.json'))).toBe(true);
    reopened.close();
  });

  it('refuses a state that may not follow', async () => {
    const workspace = await open();
    addExperiment(workspace, 'one');
    expect(() => {
      workspace.experiments.setState('one', 'done');
    }).toThrow('An experiment that is paused cannot become done.');
    workspace.close();
  });

  it('finds an experiment by its id, by the beginning of one, or the latest', async () => {
    const workspace = await open();
    addExperiment(workspace, 'sst2-1');
    addExperiment(workspace, 'qnli-1');
    expect(workspace.experiments.find('sst').id).toBe('sst2-1');
    expect(() => workspace.experiments.find('none')).toThrow('There is no experiment "none"');
    expect(workspace.experiments.find('latest').id).toBe('sst2-1');
    workspace.close();
  });
});
