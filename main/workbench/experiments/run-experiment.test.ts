import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import { type ExperimentEvent, experimentRecord, type ExperimentRecord } from '../../contract/experiments.ts';
import { readStoredComparison } from '../../experiment/results.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import { identityOf, whereabouts } from './process-identity.ts';
import { runExperiment } from './run-experiment.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';

const port = forkPort(fileURLToPath(new URL('../../jobs/fixtures/counting-worker.ts', import.meta.url)));
let parent: string;
let folder: string;
let teacher: string;
let train: string;
let workspace: Workspace;

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-run-'));
  folder = join(parent, 'workspace');
  teacher = join(parent, 'teacher');
  train = join(parent, 'train.tsv');
  mkdirSync(teacher);
  writeFileSync(join(teacher, 'config.json'), '{}');
  writeFileSync(train, 'text\tlabel\na\t1\n');
  workspace = await open();
});
afterEach(() => {
  workspace.close();
  rmSync(parent, { recursive: true, force: true });
});

function open(): Promise<Workspace> {
  return openWorkspace({ folder, mode: 'write', purpose: 'test' });
}
function recipe(name: string, steps = 30) {
  return sampleRecipe(name, { steps, teacher, train });
}
function states(record: ExperimentRecord): string[] {
  return [record.state, ...record.stages.map((stage) => stage.state)];
}
/** The last value of a stage's job, as its artifact holds it. */
function valueOf(record: ExperimentRecord, kind: string): { step: number; value: number } {
  return JSON.parse(readFileSync(join(workspace.experimentFolder(record.id), `${kind}.json`), 'utf8')) as {
    step: number;
    value: number;
  };
}

describe('an experiment', () => {
  it('runs its planned jobs in order and writes down what came of them', async () => {
    const events: ExperimentEvent[] = [];
    const record = await runExperiment(workspace, recipe('counts'), { port, onEvent: (event) => events.push(event) });
    expect(record.id).toBe('counts-1');
    expect(states(record)).toEqual(['done', 'done', 'done', 'done']);
    expect(record.stages.map((stage) => [stage.kind, stage.done, stage.total])).toEqual([
      ['finetune', 30, 30],
      ['distil', 30, 30],
      ['evaluate', 30, 30],
    ]);
    expect(record.stages.every((stage) => stage.seconds > 0.05)).toBe(true);
    expect(record.artifacts.map((artifact) => artifact.name)).toEqual(['distil', 'evaluate', 'finetune']);
    expect(record.versions['node']).toBe(process.versions.node);
    expect(workspace.metrics.list(record.id).map(({ name, last }) => [name, last])).toEqual([
      ['distil/loss', 30],
      ['distil/tokens-per-second', 30],
      ['evaluate/loss', 30],
      ['evaluate/tokens-per-second', 30],
      ['finetune/loss', 30],
      ['finetune/tokens-per-second', 30],
    ]);
    const fractions = events.filter((event) => event.type === 'estimate').map((event) => event.fraction);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);
    const experimentFolder = workspace.experimentFolder(record.id);
    const file = experimentRecord.parse(JSON.parse(readFileSync(join(experimentFolder, 'experiment.json'), 'utf8')));
    expect(file).toEqual(record);
    expect(readStoredComparison(experimentFolder)?.rows).toHaveLength(3);
    expect(existsSync(join(experimentFolder, 'worker.json'))).toBe(false);
  });

  it('pauses, and resumes to the same result without repeating what is done', async () => {
    const whole = await runExperiment(workspace, recipe('counts'), { port });
    const signal = new StopSignal();
    const paused = await runExperiment(workspace, recipe('waits in distil'), {
      port,
      signal,
      onEvent: (event) => {
        if (
          event.type === 'job' &&
          event.stage === 'distil' &&
          event.event.type === 'progress' &&
          event.event.done === 20
        )
          signal.ask('pause');
      },
    });
    expect(states(paused)).toEqual(['paused', 'done', 'paused', 'pending']);
    const ran = new Set<string>();
    let resumed = -1;
    const done = await runExperiment(workspace, paused.id, {
      port,
      onEvent: (event) => {
        if (event.type !== 'job') return;
        ran.add(event.stage);
        if (event.event.type === 'progress' && resumed < 0) resumed = event.event.resumed;
      },
    });
    expect(states(done)).toEqual(['done', 'done', 'done', 'done']);
    expect([...ran]).toEqual(['distil', 'evaluate']);
    expect(resumed).toBe(paused.stages[1]!.done);
    expect(valueOf(done, 'distil')).toEqual(valueOf(whole, 'distil'));
    expect(workspace.metrics.read(done.id, 'distil/loss')).toEqual(workspace.metrics.read(whole.id, 'distil/loss'));
  });

  it('that is cancelled says so and can still be resumed', async () => {
    const signal = new StopSignal();
    const cancelled = await runExperiment(workspace, recipe('waits in finetune'), {
      port,
      signal,
      onEvent: (event) => {
        if (event.type === 'job' && event.event.type === 'progress' && event.event.done === 20) signal.ask('cancel');
      },
    });
    expect(states(cancelled)).toEqual(['cancelled', 'pending', 'pending', 'pending']);
    expect(existsSync(join(workspace.experimentFolder(cancelled.id), 'finetune.json'))).toBe(false);
  });

  it('that fails keeps its error, the stages before it, and can be resumed', async () => {
    const thrown: unknown = await runExperiment(workspace, recipe('fails-at-distil', 5), { port }).catch(
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(TritsmithError);
    const record = workspace.experiments.get('fails-at-distil-1');
    expect(states(record)).toEqual(['failed', 'done', 'failed', 'pending']);
    expect(record.error).toMatchObject({ code: 'no-space', message: 'The disk is full.', remedy: 'Free some.' });
    expect(record.stages[1]!.error).toMatchObject({ code: 'no-space' });
  });

  it('whose worker is killed fails as such, and a resume gives the uninterrupted result', async () => {
    const whole = await runExperiment(workspace, recipe('counts'), { port });
    let id = '';
    let struck = false;
    const thrown: unknown = await runExperiment(workspace, recipe('waits in finetune'), {
      port,
      onEvent: (event) => {
        if (event.type === 'changed') id = event.experiment.id;
        if (event.type !== 'job' || event.event.type !== 'progress' || event.event.done < 20 || struck) return;
        struck = true;
        const note = JSON.parse(readFileSync(join(workspace.experimentFolder(id), 'worker.json'), 'utf8')) as {
          pid: number;
        };
        process.kill(note.pid, 'SIGKILL');
      },
    }).catch((error: unknown) => error);
    expect((thrown as TritsmithError).code).toBe('worker-died');
    expect(workspace.experiments.get(id).state).toBe('failed');
    const done = await runExperiment(workspace, id, { port });
    expect(states(done)).toEqual(['done', 'done', 'done', 'done']);
    expect(valueOf(done, 'finetune')).toEqual(valueOf(whole, 'finetune'));
  });

  it('whose whole workbench is killed is found interrupted, and a resume gives the uninterrupted result', async () => {
    const whole = await runExperiment(workspace, recipe('whole'), { port });
    workspace.close();
    const script = fileURLToPath(new URL('../fixtures/run-counting.ts', import.meta.url));
    const child = spawn(process.execPath, [script, folder, teacher, train], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve) => {
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('finetune 20\n')) resolve();
      });
    });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    workspace = await open();
    const record = workspace.experiments.get('waits-in-finetune-1');
    expect(states(record)).toEqual(['interrupted', 'interrupted', 'pending', 'pending']);
    // The time spent before the pause is known and is added to.
    expect(record.stages[0]!.seconds).toBeGreaterThan(0);
    const done = await runExperiment(workspace, record.id, { port });
    expect(done.state).toBe('done');
    for (const kind of ['finetune', 'distil', 'evaluate']) expect(valueOf(done, kind)).toEqual(valueOf(whole, kind));
  });

  it('ends an old worker that still works in its folder before it resumes', async () => {
    const record = await runExperiment(workspace, recipe('counts', 5), { port });
    const stray = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
    const identity = identityOf(stray.pid!);
    writeFileSync(join(workspace.experimentFolder(record.id), 'worker.json'), JSON.stringify(identity));
    const { clearOrphan } = await import('./orphan-worker.ts');
    await clearOrphan(workspace.experimentFolder(record.id), 50);
    expect(whereabouts(identity)).toBe('gone');
  });

  it('runs a stage again when its artifact was deleted', async () => {
    const record = await runExperiment(workspace, recipe('counts', 5), { port });
    rmSync(join(workspace.experimentFolder(record.id), 'distil.json'));
    const warnings: string[] = [];
    const again = await runExperiment(workspace, record.id, {
      port,
      onEvent: (event) => {
        if (event.type === 'warning') warnings.push(event.text);
      },
    });
    expect(warnings).toEqual(['distil runs again: distil.json is missing.']);
    expect(again.state).toBe('done');
    expect(existsSync(join(workspace.experimentFolder(record.id), 'distil.json'))).toBe(true);
  });

  it('whose disk is full stops with that error, and the workspace opens again with everything that was stored', async () => {
    const pages = workspace.database.pragma('page_count', { simple: true }) as number;
    workspace.database.pragma(`max_page_count = ${String(pages + 4)}`);
    const thrown = (await runExperiment(workspace, recipe('counts', 2000), { port }).catch(
      (error: unknown) => error,
    )) as TritsmithError;
    expect(thrown.code).toBe('no-space');
    expect(thrown.remedy).toContain('Free some space');
    workspace.close();
    workspace = await open();
    expect(workspace.database.pragma('integrity_check', { simple: true })).toBe('ok');
    const [record] = workspace.experiments.list();
    expect(['failed', 'interrupted']).toContain(record!.state);
    expect(existsSync(join(workspace.experimentFolder(record!.id), 'checkpoints', 'finetune', 'last.json'))).toBe(true);
  });

  it('keeps checkpoints only of stages that are not done', async () => {
    const stop = new StopSignal();
    const run = runExperiment(workspace, recipe('waits in distil'), {
      port,
      signal: stop,
      onEvent: (event) => {
        if (event.type === 'job' && event.stage === 'distil') stop.ask('pause');
      },
    });
    const paused = await run;
    expect(paused.state).toBe('paused');
    const checkpoints = join(workspace.experimentFolder(paused.id), 'checkpoints');
    expect(readdirSync(checkpoints)).toEqual(['distil']);
    // What a workbench left that was killed between the end of a stage and this.
    mkdirSync(join(checkpoints, 'finetune'));
    await runExperiment(workspace, paused.id, { port });
    expect(readdirSync(checkpoints)).toEqual([]);
  });

  it('starts over when its folder was deleted', async () => {
    const whole = await runExperiment(workspace, recipe('counts'), { port });
    rmSync(workspace.experimentFolder(whole.id), { recursive: true });
    const again = await runExperiment(workspace, whole.id, { port });
    expect(states(again)).toEqual(['done', 'done', 'done', 'done']);
    expect(existsSync(join(workspace.experimentFolder(whole.id), 'comparison.json'))).toBe(true);
  });

  it('with missing inputs is refused before anything is created, and every one of them is named', async () => {
    const bad = sampleRecipe('counts', { teacher: join(parent, 'nowhere'), train: join(parent, 'none.tsv') });
    const thrown = (await runExperiment(workspace, bad, { port }).catch((error: unknown) => error)) as TritsmithError;
    expect(thrown.code).toBe('not-found');
    expect(thrown.reason).toContain('nowhere');
    expect(thrown.reason).toContain('none.tsv');
    expect(workspace.experiments.list()).toEqual([]);
    expect(existsSync(workspace.experimentFolder('counts-1'))).toBe(false);
  });
});
