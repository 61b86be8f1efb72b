/** Runs on another computer, over a real sshd of this machine: the other side has a user's data folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentRecord } from '../main/contract/experiments.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import type { RemoteStatus } from '../main/contract/remote.ts';
import type { ProcessIdentity } from '../main/experiment/worker-note.ts';
import { whereabouts } from '../main/workbench/experiments/process-identity.ts';
import { fetchRun } from '../main/workbench/remote/fetch.ts';
import { copy } from '../main/workbench/remote/remote-runs.ts';
import { SentRuns } from '../main/workbench/remote/sent-runs.ts';
import { placeOf } from '../main/workbench/remote/ssh.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { remove, root, temporaryFolder } from './harness.ts';
import { missingForSshd, type SmallSshd, startSshd, tinyRecipe } from './small-sshd.ts';

const program = join(root, 'main', 'shell', 'cli', 'main.ts');
const lacking = process.platform === 'win32' ? ['a POSIX system'] : missingForSshd();
if (lacking.length > 0)
  process.stdout.write(`NO SSHD, so runs on another computer are not tested. It needs: ${lacking.join(', ')}\n`);

let folder: string;
let sshd: SmallSshd;
let recipe: Recipe;
let recipePath: string;
/** A clone on the other side: this one. */
const there = `there:${root}`;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The command line on this side. @param onSaid is told all that it said so far on standard error */
function tritsmith(
  args: readonly string[],
  { env = sshd.env, onSaid }: { env?: NodeJS.ProcessEnv; onSaid?: (said: string, child: ChildProcess) => void } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    onSaid?.(err, child);
  });
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, out, err });
    });
  });
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const experimentFolder = (workspace: string, id: string): string => join(workspace, 'experiments', id);
const recordOf = (workspace: string, id: string): ExperimentRecord =>
  JSON.parse(readFileSync(join(experimentFolder(workspace, id), 'experiment.json'), 'utf8')) as ExperimentRecord;
const digests = (workspace: string, id: string): Record<string, string> =>
  Object.fromEntries(
    [
      'student/model.safetensors',
      ...readdirSync(join(experimentFolder(workspace, id), 'exports'))
        .filter((name) => name.endsWith('.gguf'))
        .map((name) => `exports/${name}`),
    ].map((name) => [name, sha256(join(experimentFolder(workspace, id), name))]),
  );

beforeAll(async () => {
  if (lacking.length > 0) return;
  folder = temporaryFolder();
  recipe = tinyRecipe(join(folder, 'Ännes "Zeilen" & co'));
  recipePath = join(folder, 'recipe.json');
  writeFileSync(recipePath, JSON.stringify(recipe));
  sshd = await startSshd(join(folder, 'sshd'));
  // Some of what is tested runs in this process.
  process.env['PATH'] = sshd.env['PATH'];
});
afterAll(() => {
  if (lacking.length > 0) return;
  sshd.end();
  remove(folder);
});

describe.skipIf(lacking.length > 0)('a run on another computer', () => {
  it('comes home as an ordinary experiment with the student of a run here, bit for bit', async () => {
    const here = join(folder, 'here');
    const local = await tritsmith(['run', recipePath, '--json', '--workspace', here]);
    expect(local.code, local.err).toBe(0);

    const check = await tritsmith(['remote', 'check', there, '--workspace', here]);
    expect(check.code, check.err).toBe(0);
    expect(check.out).toContain('Runs there now    none');

    const run = await tritsmith(['run', recipePath, '--on', there, '--json', '--workspace', here]);
    expect(run.code, run.err).toBe(0);
    const rows = (text: string): unknown =>
      (JSON.parse(text) as { rows: { name: string }[] }).rows.map(({ name }) => name);
    expect(rows(run.out)).toEqual(rows(local.out));
    expect(digests(here, 'tiny-2')).toEqual(digests(here, 'tiny-1'));

    const record = recordOf(here, 'tiny-2');
    expect(record.recipe).toEqual(recipe);
    expect(record.state).toBe('done');
    for (const { path, sha256: known } of record.artifacts)
      expect(sha256(join(experimentFolder(here, 'tiny-2'), path)), path).toBe(known);
    const shown = await tritsmith(['show', 'tiny-2', '--metric', 'distil/loss', '--json', '--workspace', here]);
    const before = await tritsmith(['show', 'tiny-1', '--metric', 'distil/loss', '--json', '--workspace', here]);
    const points = (text: string): unknown => (JSON.parse(text) as { points: unknown[] }).points;
    expect(points(shown.out)).toHaveLength(6);
    expect(points(shown.out)).toEqual(points(before.out));
    // Nothing of the other side's folders is left in it, nor a part of anything.
    for (const entry of readdirSync(experimentFolder(here, 'tiny-2'), { recursive: true, withFileTypes: true }))
      if (entry.isFile() && /\.(json|jsonl|md)$/.test(entry.name))
        expect(readFileSync(join(entry.parentPath, entry.name), 'utf8'), entry.name).not.toContain(sshd.data);
    expect(readdirSync(join(here, 'experiments')).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(readdirSync(join(here, 'remote')).filter((name) => !name.endsWith('.json'))).toEqual([]);
    expect(existsSync(join(here, 'experiments', 'tiny-2', 'worker.json'))).toBe(false);
  });

  it('is listed with what became of it', async () => {
    const list = await tritsmith(['remote', 'list', '--json', '--workspace', join(folder, 'here')]);
    expect(list.code, list.err).toBe(0);
    expect(JSON.parse(list.out)).toMatchObject([
      { fetched: 'tiny-2', last: { status: { state: 'done', running: false } satisfies Partial<RemoteStatus> } },
    ]);
  });

  it('is paused, fetched over a bad connection and gone on with here; there it goes on too, and is cancelled for good', async () => {
    const here = join(folder, 'long');
    const path = join(folder, 'long.json');
    const long = { ...recipe, name: 'Länger', distil: { ...recipe.distil, steps: 4000 } };
    writeFileSync(path, JSON.stringify(long));
    const sent = await tritsmith(['run', path, '--on', there, '--detach', '--workspace', here]);
    expect(sent.code, sent.err).toBe(0);
    const id = sent.out.trim();

    const watched = await tritsmith(['remote', 'watch', id, '--workspace', here], {
      onSaid: (said) => {
        if (/distil [1-9]/.test(said)) sshd.cut();
      },
    });
    expect([watched.code, watched.err]).toEqual([1, expect.stringContaining('The connection to there broke off')]);

    const early = await tritsmith(['remote', 'fetch', id, '--workspace', here]);
    expect([early.code, early.err]).toEqual([2, expect.stringContaining('still runs')]);
    const kept = await tritsmith(['remote', 'remove', id, '--unfetched', '--workspace', here]);
    expect([kept.code, kept.err]).toEqual([2, expect.stringContaining('still runs')]);
    // One at a time, unless told; said before anything is copied.
    const second = await tritsmith(['run', recipePath, '--on', there, '--workspace', join(folder, 'second')]);
    expect(second.err).toContain(`That computer is busy: ${id} runs there.`);
    expect(second.err).toContain('--beside');
    expect(second.code).not.toBe(0);
    expect(new SentRuns(join(folder, 'second')).list()).toEqual([]);
    const beside = ['run', recipePath, '--on', there, '--beside', '--detach', '--workspace', join(folder, 'second')];
    const another = await tritsmith(beside);
    expect(another.code, another.err).toBe(0);
    const ended = await tritsmith(['remote', 'cancel', another.out.trim(), '--workspace', join(folder, 'second')]);
    expect(ended.code, ended.err).toBe(0);
    const paused = await tritsmith(['remote', 'pause', id, '--json', '--workspace', here]);
    expect(paused.code, paused.err).toBe(0);
    const status = JSON.parse(paused.out) as RemoteStatus;
    expect(status).toMatchObject({ state: 'paused', running: false, stage: { kind: 'distil' } });
    expect(status.stage!.done).toBeGreaterThan(0);

    const runs = new SentRuns(here);
    const workspace = await openWorkspace({ folder: here, mode: 'write', purpose: 'a test' });
    try {
      const broken = fetchRun(runs, workspace, runs.find(id), () => {
        sshd.cut();
      });
      await expect(broken).rejects.toMatchObject({ id: 'remote.broken' });
      expect(readdirSync(join(here, 'experiments'))).toEqual([]);
      expect(workspace.experiments.ids()).toEqual([]);
      const fetched = await fetchRun(runs, workspace, runs.find(id));
      expect(fetched).toMatchObject({ id: 'langer-1', state: 'paused', recipe: long });
      expect(workspace.metrics.list(fetched.id).length).toBeGreaterThan(0);
      await expect(fetchRun(runs, workspace, runs.find(id))).rejects.toMatchObject({ id: 'remote.fetched-before' });
    } finally {
      workspace.close();
    }
    let stopped = false;
    const goesOn = await tritsmith(['resume', 'langer-1', '--workspace', here], {
      onSaid: (said, child) => {
        if (!stopped && /distil +\[[#.]+\] +[\d.]+ %/.test(said)) stopped = child.kill('SIGINT');
      },
    });
    expect(goesOn.code, goesOn.err).toBe(4);
    // What was done there is not done again; the stage that was under way begins anew.
    expect(goesOn.err).not.toContain('refine: started');
    expect(goesOn.err).toContain('distil: started');

    expect((await tritsmith(['remote', 'resume', id, '--workspace', here])).code).toBe(0);
    const run = join(sshd.data, 'tritsmith', 'remote', 'runs', id);
    const processes = (): ProcessIdentity[] => {
      const [experiment] = readdirSync(join(run, 'workspace', 'experiments'));
      return [join(run, 'process.json'), join(run, 'workspace', 'experiments', experiment!, 'worker.json')]
        .filter((note) => existsSync(note))
        .map((note) => JSON.parse(readFileSync(note, 'utf8')) as ProcessIdentity);
    };
    await expect.poll(() => processes().length).toBe(2);
    const living = processes();
    expect(living.map(whereabouts)).toEqual(['alive', 'alive']);
    const cancelled = await tritsmith(['remote', 'cancel', id, '--json', '--workspace', here]);
    expect(cancelled.code, cancelled.err).toBe(0);
    expect(JSON.parse(cancelled.out)).toMatchObject({ state: 'cancelled', running: false });
    expect(living.map(whereabouts)).toEqual(['gone', 'gone']);
  });

  it('whose inputs cannot be used says so in the words of that computer, and has nothing to fetch', async () => {
    const path = join(folder, 'wrong.json');
    writeFileSync(path, JSON.stringify({ ...recipe, task: { ...recipe.task, labelColumn: 'no-such-column' } }));
    const here = join(folder, 'wrong');
    const run = await tritsmith(['run', path, '--on', there, '--workspace', here]);
    expect([run.code, run.err]).toEqual([2, expect.stringContaining('no-such-column')]);
  });

  it('is removed there with the files that no other run needs; what was fetched stays', async () => {
    const far = join(sshd.data, 'tritsmith', 'remote');
    const at = (...names: string[]): string[] => readdirSync(join(far, ...names));
    const removeFrom = (workspace: string, ...more: string[]): Promise<Ended> =>
      tritsmith(['remote', 'remove', 'latest', ...more, '--workspace', join(folder, workspace)]);
    const wrong = await removeFrom('wrong');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('was not fetched')]);
    for (const workspace of ['wrong', 'second']) {
      const unfetched = await removeFrom(workspace, '--unfetched');
      expect(unfetched.code, unfetched.err).toBe(0);
    }
    const [inputs, files] = [at('inputs'), at('files')];
    const long = await removeFrom('long');
    expect(long.code, long.err).toBe(0);
    expect(long.out).toMatch(/^Removed .* from there:.* are free there now\.$/m);
    // The run of the first test has the same inputs.
    expect([at('runs').length, at('inputs'), at('files')]).toEqual([1, inputs, files]);
    expect(recordOf(join(folder, 'long'), 'langer-1').state).toBe('paused');
    const last = await removeFrom('here');
    expect(last.code, last.err).toBe(0);
    expect([at('runs'), at('inputs'), at('files')]).toEqual([[], [], []]);
    expect(recordOf(join(folder, 'here'), 'tiny-2').state).toBe('done');
    expect(new SentRuns(join(folder, 'here')).list()).toEqual([]);
  });
});

describe.skipIf(lacking.length > 0)('files on their way', () => {
  it('go on where a connection broke off, and are never copied twice', async () => {
    const source = join(folder, 'large.bin');
    const bytes = 48 << 20;
    writeFileSync(source, randomBytes(bytes));
    const file = { source, path: '0/large.bin', bytes, sha256: sha256(source) };
    const arrived = join(sshd.data, 'tritsmith', 'remote', 'files', file.sha256);
    const place = placeOf(there);
    const broken = copy(place, [file], {
      onBytes: (sent) => {
        if (sent > 16 << 20) sshd.cut();
      },
    });
    await expect(broken).rejects.toMatchObject({ id: 'remote.broken' });
    await expect.poll(() => existsSync(`${arrived}.part`) && statSync(`${arrived}.part`).size).toBeGreaterThan(1 << 20);
    expect(existsSync(arrived)).toBe(false);

    const totals: number[] = [];
    await copy(place, [file], { onBytes: (_, total) => totals.push(total) });
    expect(totals[0]).toBeLessThan(bytes - (1 << 20));
    expect(sha256(arrived)).toBe(file.sha256);
    expect(existsSync(`${arrived}.part`)).toBe(false);

    const again: number[] = [];
    await copy(place, [{ ...file, path: '0/another-name.bin' }], { onBytes: (sent) => again.push(sent) });
    expect(again).toEqual([]);
  });

  it('that change while they are copied are refused', async () => {
    const source = join(folder, 'changing.bin');
    writeFileSync(source, randomBytes(1 << 16));
    const file = { source, path: '0/changing.bin', bytes: 1 << 16, sha256: '0'.repeat(64) };
    await expect(copy(placeOf(there), [file])).rejects.toMatchObject({ id: 'remote.damaged-copy' });
    expect(existsSync(join(sshd.data, 'tritsmith', 'remote', 'files', `${file.sha256}.part`))).toBe(false);
  });
});

describe.skipIf(lacking.length > 0)('a connection that cannot be', () => {
  const check = async (place: string, env = sshd.env): Promise<Ended> =>
    tritsmith(['remote', 'check', place, '--workspace', join(folder, 'check')], { env });

  it.each([
    ['a computer that ssh does not know', () => `stranger:${root}`, 'ssh does not know stranger yet', 'ssh stranger'],
    ['a key that is not let in', () => `locked:${root}`, 'locked does not let you in', 'ssh-copy-id locked'],
    ['a computer that is off', () => `off:${root}`, 'off cannot be reached', 'ssh off true'],
    ['a folder that is not there', () => 'there:no/such folder', 'There is no Tritsmith in "no/such folder"', 'clone'],
    [
      'a version that knows no remote runs',
      () => `there:${portable('old', 'remote-agents')}`,
      'another version',
      'same',
    ],
    ['another version', () => `there:${greeting()}`, 'another version', '0.0.9'],
  ])('is told in words: %s', async (_, place, message, remedy) => {
    const { code, err } = await check(place());
    expect(err).toContain(message);
    expect(err).toContain(remedy);
    expect(code).not.toBe(0);
  });

  it('is told in words: no ssh here', async () => {
    const { code, err } = await check(there, { ...sshd.env, PATH: join(folder, 'nowhere') });
    expect([code, err]).toEqual([2, expect.stringContaining('There is no program "ssh"')]);
  });

  it('is none where a folder has a name as odd as this', async () => {
    const { code, out, err } = await check(`there:${portable(`Ännes "Kiste" & 'co' $HOME`, 'remote-agent')}`);
    expect(code, err).toBe(0);
    expect(out).toContain('Processor');
  });

  /** A folder that starts as a portable archive does; behind its script is this clone. */
  function portable(name: string, command: string): string {
    const place = join(folder, 'portable', name);
    mkdirSync(join(place, 'engine'), { recursive: true });
    writeFileSync(join(place, 'tritsmith'), `#!/bin/sh\nexec '${process.execPath}' '${program}' ${command}\n`, {
      mode: 0o755,
    });
    return place;
  }

  function greeting(): string {
    const place = join(folder, 'portable', 'other');
    mkdirSync(join(place, 'engine'), { recursive: true });
    writeFileSync(join(place, 'tritsmith'), '#!/bin/sh\necho "@tritsmith-agent 2 0.0.9"\n', { mode: 0o755 });
    return place;
  }
});
