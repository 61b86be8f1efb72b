import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Recipe } from '../../contract/recipe.ts';
import { comparison } from '../../contract/results.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { writeTinyAdapter } from '../../models/fixtures/tiny-adapter.ts';
import { inProcess } from './fixtures/in-process.ts';
import { absolutePath } from './paths.ts';
import { isProgram } from '../../workbench/machine/doctor.ts';

const real = fileURLToPath(new URL('./main.ts', import.meta.url));
const demoTeacher = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
const counting = fileURLToPath(new URL('./fixtures/counting-cli.ts', import.meta.url));
const realPort = forkPort();
const countingPort = forkPort(fileURLToPath(new URL('../../jobs/fixtures/counting-worker.ts', import.meta.url)));
let parent: string;
let workspace: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-cli-'));
  workspace = join(parent, 'workspace');
  mkdirSync(join(parent, 'teacher'));
  writeFileSync(join(parent, 'teacher', 'config.json'), '{}');
  writeFileSync(join(parent, 'train.tsv'), 'text\tlabel\na\t1\nb\t0\nc\t1\nd\t0\n');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(parent, { recursive: true, force: true });
});

function cli(script: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8',
    cwd: parent,
    env: { ...process.env, TRITSMITH_COMPONENTS: join(parent, 'components') },
  });
  return { code: status, out: stdout, err: stderr };
}
function json(text: string): unknown {
  expect(text.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(text) as unknown;
}
/** A recipe file whose paths are relative to it. */
function recipeFile(behaviour: string, steps: number): string {
  const path = join(parent, `${behaviour}.json`);
  writeFileSync(path, JSON.stringify(sampleRecipe(behaviour, { steps })));
  return path;
}
/** Starts a run and resolves when it says `text`. */
async function startedRun(
  text: string,
  ...args: string[]
): Promise<{ child: ChildProcess; err(): string; ended: Promise<number | null> }> {
  const child = spawn(process.execPath, [counting, ...args], { cwd: parent, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let err = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
      if (err.includes(text)) resolve();
    });
    void ended.then(() => {
      resolve();
    });
  });
  return { child, err: () => err, ended };
}

describe('help', () => {
  const names = [
    'demo',
    'doctor',
    'teacher add',
    'teacher list',
    'task check',
    'run',
    'resume',
    'list',
    'show',
    'compare',
    'report',
    'evaluate',
    'export',
    'convert',
    'inspect',
    'generate',
    'classify',
    'benchmark',
  ];

  it.each(names)('of "%s" has an example and the JSON switch', async (name) => {
    const { code, out } = await inProcess(realPort, ...name.split(' '), '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  tritsmith ${name}`);
    expect(out).toContain('--json');
    expect(out).toContain('--workspace <folder>');
  });

  it('lists every command and the exit codes', () => {
    const { code, out } = cli(real, '--help');
    expect(code).toBe(0);
    for (const name of new Set(names.map((each) => each.split(' ')[0]!)))
      expect(out).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(out).toContain('4  paused');
  });

  it('is offered after a wrong command line, which exits with 2', () => {
    const { code, out, err } = cli(real, 'run', '--preset', 'enormous');
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('Allowed choices are quick, balanced, best, paper');
    expect(err).toContain('--help');
  });
});

describe('a run', () => {
  it('ends with the table: units, interval, body and whole file apart, and the exported file', () => {
    const { code, out, err } = cli(counting, 'run', recipeFile('counts', 5), '--workspace', workspace);
    expect(code).toBe(0);
    expect(out).toContain('model       accuracy  95 % interval     body  whole file  memory  prefill  decode');
    expect(out).toMatch(/BitDistill +85\.5 % +84\.5 - 86\.5 % +1\.00 MB +3\.00 MB +- +- +-/);
    expect(out).toContain(
      `Exported and read back (i2_s): ${join(workspace, 'experiments', 'counts-1', 'exports', 'student.gguf')}`,
    );
    expect(err).toContain('Experiment counts-1');
    for (const kind of ['finetune', 'distil', 'evaluate']) expect(err).toMatch(new RegExp(`${kind} +done`));
  });

  it('with --json prints exactly the comparison on standard output', () => {
    const { code, out } = cli(counting, 'run', recipeFile('counts', 5), '--workspace', workspace, '--json');
    expect(code).toBe(0);
    const found = comparison.strict().parse(json(out));
    expect(found.rows.map((row) => row.name)).toEqual(['teacher', 'bitnet-sft', 'bitdistill']);
    expect(found.rows[2]!.prefillTokensPerSecond).toBeNull();
    expect(found.export!.verified).toBe(true);
    expect(found.seconds).toBeGreaterThan(0.03);
  });

  it('from flags makes a recipe of absolute paths, which --print-recipe shows', () => {
    const { code, out } = cli(
      counting,
      'run',
      '--teacher',
      'teacher',
      '--train',
      'train.tsv',
      '--text-columns',
      'text',
      '--label-column',
      'label',
      '--kind',
      'classification',
      '--seed',
      '9',
      '--name',
      'from flags',
      '--engine',
      'gpu',
      '--moments',
      '8-bit',
      '--print-recipe',
      '--json',
    );
    expect(code).toBe(0);
    expect(json(out)).toMatchObject({
      name: 'from flags',
      distil: { optimiser: { moments: '8-bit' } },
      seed: 9,
      engine: 'gpu',
      preset: 'balanced',
      teacher: join(parent, 'teacher'),
      task: { train: join(parent, 'train.tsv'), textColumns: ['text'], labelColumn: 'label' },
    });
  });

  it('pauses on Ctrl-C, says how to go on, and resume finishes it', async () => {
    const recipe = recipeFile('waits in finetune', 30);
    const run = await startedRun('finetune: started', 'run', recipe, '--workspace', workspace);
    run.child.kill('SIGINT');
    expect(await run.ended).toBe(4);
    expect(run.err()).toContain('Pausing');
    expect(run.err()).toContain(`tritsmith resume waits-in-finetune-1 --workspace ${workspace}`);
    const listed = cli(real, 'list', '--workspace', workspace, '--json');
    expect(json(listed.out)).toMatchObject([{ id: 'waits-in-finetune-1', state: 'paused' }]);
    const resumed = cli(counting, 'resume', 'latest', '--engine', 'cpu', '--workspace', workspace, '--json');
    expect(resumed.code).toBe(0);
    expect(json(cli(real, 'show', 'latest', '--workspace', workspace, '--json').out)).toMatchObject({
      recipe: { engine: 'cpu' },
    });
    expect(comparison.safeParse(json(resumed.out)).success).toBe(true);
    const again = cli(counting, 'resume', 'latest', '--workspace', workspace);
    expect(again.code).toBe(2);
    expect(again.err).toContain('nothing to resume');
  });

  it('is cancelled by a Ctrl-C a second after the first, even when the worker does not answer; before, it is an echo', async () => {
    const run = await startedRun('finetune: started', 'run', recipeFile('deaf', 5), '--workspace', workspace, '--json');
    const begun = performance.now();
    while (!run.err().includes('Cancelling.')) {
      run.child.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(performance.now() - begun).toBeGreaterThan(1000);
    expect(await run.ended).toBe(5);
    expect(run.err()).toContain('Cancelled');
  });

  it('tells a second one who holds the workspace, while list still works', async () => {
    const run = await startedRun('finetune: started', 'run', recipeFile('deaf', 5), '--workspace', workspace);
    const second = cli(counting, 'run', recipeFile('counts', 5), '--workspace', workspace, '--json');
    expect(second.code).toBe(3);
    expect(json(second.out)).toMatchObject({ error: { code: 'locked' } });
    expect(second.err).toContain(`process ${String(run.child.pid)}`);
    const listed = cli(real, 'list', '--workspace', workspace, '--json');
    expect(json(listed.out)).toMatchObject([{ id: 'deaf-1', state: 'running' }]);
  });

  it('that is killed is shown as interrupted, with the way to go on', async () => {
    const run = await startedRun('finetune: started', 'run', recipeFile('deaf', 5), '--workspace', workspace);
    run.child.kill('SIGKILL');
    await run.ended;
    const { err, out } = cli(real, 'list', '--workspace', workspace, '--json');
    expect(json(out)).toMatchObject([{ id: 'deaf-1', state: 'interrupted' }]);
    expect(err).toContain('tritsmith resume deaf-1');
  });

  it('that fails says what happened, why and what to do, and exits with 1', () => {
    const { code, err } = cli(counting, 'run', recipeFile('fails-at-distil', 5), '--workspace', workspace);
    expect(code).toBe(1);
    expect(err).toContain('Error: The disk is full.\nWhat to do: Free some.');
  });

  it('with a wrong recipe names the fields, with a missing input the paths, and creates nothing', () => {
    const path = join(parent, 'wrong.json');
    writeFileSync(path, JSON.stringify({ ...sampleRecipe('x'), seed: -1 }));
    const wrong = cli(counting, 'run', path, '--workspace', workspace);
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain('seed');
    writeFileSync(path, JSON.stringify(sampleRecipe('x', { teacher: 'nowhere' })));
    const missing = cli(counting, 'run', path, '--workspace', workspace);
    expect(missing.code).toBe(2);
    expect(missing.err).toContain(join(parent, 'nowhere'));
    expect(existsSync(join(workspace, 'experiments', 'x-1'))).toBe(false);
    writeFileSync(path, '{"name": ');
    expect(cli(counting, 'run', path, '--workspace', workspace).err).toContain('is not JSON');
  });

  it('in a workspace that cannot be written is refused', () => {
    writeFileSync(workspace, 'a file in the way');
    const { code, err } = cli(counting, 'run', recipeFile('counts', 5), '--workspace', workspace);
    expect(code).toBe(2);
    expect(err).toContain('cannot be written to');
    expect(readFileSync(workspace, 'utf8')).toBe('a file in the way');
  });
});

describe('looking at experiments', () => {
  it('show, compare and curves have JSON; the recipes are compared field by field', async () => {
    await inProcess(countingPort, 'run', recipeFile('counts', 20), '--workspace', workspace);
    await inProcess(countingPort, 'run', recipeFile('counts', 20), '--workspace', workspace, '--seed', '3');
    const shown = json((await inProcess(realPort, 'show', 'counts-1', '--workspace', workspace, '--json')).out);
    expect(shown).toMatchObject({ id: 'counts-1', state: 'done', comparison: { rows: [{}, {}, {}] } });
    const curve = json(
      (
        await inProcess(
          realPort,
          'show',
          'counts-1',
          '--workspace',
          workspace,
          '--metric',
          'distil/loss',
          '--points',
          '8',
          '--json',
        )
      ).out,
    ) as { points: { step: number }[] };
    expect(curve.points.length).toBeGreaterThan(2);
    expect(curve.points.length).toBeLessThanOrEqual(8);
    const compared = await inProcess(realPort, 'compare', 'counts-1', 'counts-2', '--workspace', workspace, '--json');
    expect(json(compared.out)).toMatchObject({
      a: { experiment: 'counts-1' },
      b: { experiment: 'counts-2' },
      differences: [{ path: 'seed', a: 7, b: 3 }],
    });
    expect((await inProcess(realPort, 'compare', 'counts-1', 'counts-2', '--workspace', workspace)).out).toContain(
      'the intervals overlap',
    );
    const text = (await inProcess(realPort, 'show', 'counts-1', '--workspace', workspace)).out;
    expect(text).toMatch(/distil +done +20\/20 steps/);
    const card = join(parent, 'card.html');
    expect((await inProcess(realPort, 'report', 'counts-1', '--output', card, '--workspace', workspace)).err).toContain(
      `Written to ${card}`,
    );
    expect(readFileSync(card, 'utf8')).toContain('<td>Student (BitDistill)</td>\n<td>85.5 %</td>');
    const printed = await inProcess(realPort, 'report', 'counts-1', '--workspace', workspace);
    expect(printed.out).toMatch(/^# counts\n/);
    const evaluated = await inProcess(countingPort, 'evaluate', 'counts-1', '--workspace', workspace);
    expect(evaluated.code).toBe(0);
    expect(evaluated.err).toMatch(/evaluate +done/);
    expect(evaluated.err).not.toMatch(/distil +done/);
    const unknown = await inProcess(realPort, 'show', 'nothing', '--workspace', workspace, '--json');
    expect(unknown.code).toBe(2);
    expect(json(unknown.out)).toMatchObject({ error: { code: 'not-found' } });
  });
});

describe('an export', () => {
  it('copies the student, not the baseline that is exported beside it, and refuses an unfinished experiment', async () => {
    cli(counting, 'run', recipeFile('counts', 5), '--workspace', workspace);
    const target = join(parent, 'copy.gguf');
    const { code, err } = await inProcess(
      countingPort,
      'export',
      'counts',
      '--output',
      target,
      '--workspace',
      workspace,
    );
    expect([code, readFileSync(target, 'utf8')]).toEqual([0, 'student']);
    expect(err).toContain(`Copied to ${target}`);
    cli(counting, 'run', recipeFile('fails-at-distil', 5), '--workspace', workspace);
    const refused = await inProcess(countingPort, 'export', 'fails', '--workspace', workspace);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('tritsmith resume fails-at-distil-1');
  });
});

describe('the machine, teachers and tasks', () => {
  it('doctor finds cores, memory and execution providers, each with a consequence', () => {
    const report = json(cli(real, 'doctor', '--workspace', workspace, '--json').out) as {
      machine: { cores: number; memoryBytes: number };
      executionProviders: { name: string }[];
      findings: { id: string; message: string; reason: string }[];
    };
    expect(report.machine.cores).toBeGreaterThan(0);
    expect(report.machine.memoryBytes).toBeGreaterThan(1e8);
    expect(report.executionProviders.map((provider) => provider.name)).toContain('cpu');
    const [other, cluster] = [isProgram('ssh'), isProgram('mpicxx') && isProgram('mpirun')];
    expect(report.findings.map(({ id }) => id)).toEqual([
      'machine.cores',
      'machine.instruction-sets',
      'machine.memory',
      'machine.disk',
      'machine.providers',
      'machine.no-webgpu',
      other ? 'machine.ssh' : 'machine.no-ssh',
      cluster ? 'machine.mpi' : 'machine.no-mpi',
    ]);
    expect(report.findings[0]!.message).toBe(`Cores: ${report.machine.cores}`);
    for (const { reason } of report.findings) expect(reason.length).toBeGreaterThan(20);
  });

  it('task check exits with 2 for a task that cannot be trained on, and says why', async () => {
    const path = join(parent, 'one-class.tsv');
    writeFileSync(path, 'text\tlabel\na\t1\nb\t1\n');
    const { code, out } = await inProcess(realPort, 'task', 'check', path);
    expect(code).toBe(2);
    expect(out).toContain('This task cannot be trained on:\n  - All training rows have the same label, "1".');
    const checked = await inProcess(realPort, 'task', 'check', join(parent, 'train.tsv'), '--json');
    expect(checked.code).toBe(0);
    expect(json(checked.out)).toMatchObject({
      trainable: true,
      mapping: { textColumns: ['text'], labelColumn: 'label' },
    });
  });

  it('task check and run take the flags that say how a file becomes labels and rows', async () => {
    const path = join(parent, 'spellings.tsv');
    const labels = ['Spam', 'spam', 'ham', 'ham', '?'];
    const rows = Array.from({ length: 60 }, (_, at) => `text ${at}\t${labels[at % 5]!}\tcustomer ${at % 7}`);
    writeFileSync(path, ['text\tlabel\tcustomer', ...rows].join('\n'));
    const plain = await inProcess(realPort, 'task', 'check', path);
    expect(plain.out).toContain('look like one class written in several ways: "Spam" (12 rows) = "spam" (12 rows)');
    expect(plain.out).toContain('Rows without a label are left out: "?" (12 rows)');
    const flags = ['--merge-labels', '--no-unlabelled', '--group-column', 'customer'];
    const checked = await inProcess(realPort, 'task', 'check', path, ...flags, '--json');
    expect(json(checked.out)).toMatchObject({
      mapping: { textColumns: ['text'] },
      train: {
        labels: [
          { label: 'Spam', rows: 24 },
          { label: 'ham', rows: 24 },
          { label: '?', rows: 12 },
        ],
      },
    });
    const made = await inProcess(
      realPort,
      'run',
      '--teacher',
      demoTeacher,
      '--train',
      path,
      ...flags,
      '--print-recipe',
    );
    expect(json(made.out)).toMatchObject({
      task: { rules: 2, mergeLabels: true, unlabelled: [], groupColumn: 'customer', textColumns: ['text'] },
    });
  });

  it('run takes how tokens count, what the teacher keeps of them, and how many rows it writes', async () => {
    const rows = Array.from({ length: 40 }, (_, at) => `text number ${at}\t${at % 2 === 0 ? 'spam' : 'ham'}`);
    writeFileSync(join(parent, 'train.tsv'), ['text\tlabel', ...rows].join('\n'));
    const columns = ['--text-columns', 'text', '--label-column', 'label', '--kind', 'classification'];
    const run = (...flags: string[]) =>
      inProcess(
        realPort,
        ...['run', '--teacher', demoTeacher, '--train', join(parent, 'train.tsv'), ...columns],
        ...['--print-recipe', ...flags],
      );
    const made = async (...flags: string[]) => json((await run(...flags)).out) as Recipe;
    const plain = await made();
    expect(plain.distil).toMatchObject({ logitsTokens: 'response', tau: 5 });
    for (const field of ['tokenWeights', 'teacherTop']) expect(plain.distil).not.toHaveProperty(field);
    expect(plain).not.toHaveProperty('teacherWrites');

    const everyToken = { ...plain.distil, logitsTokens: 'all', tau: 1 };
    for (const tokenWeights of ['tsld', 'cakld'] as const)
      expect(await made('--token-weights', tokenWeights)).toEqual({
        ...plain,
        distil: { ...everyToken, tokenWeights },
      });
    expect(await made('--teacher-top', '64')).toEqual({ ...plain, distil: { ...everyToken, teacherTop: 64 } });
    expect((await made('--teacher-top', '9', '--token-weights', 'tsld')).distil).toEqual({
      ...everyToken,
      teacherTop: 9,
      tokenWeights: 'tsld',
    });
    expect(await made('--teacher-writes', '25')).toEqual({
      ...plain,
      teacherWrites: { rows: 25, temperature: 0.9, examples: 4 },
    });

    const refused: [string[], RegExp][] = [
      [['--token-weights', 'tsdl'], /--token-weights.*tsld, cakld/],
      [['--token-weights'], /--token-weights.*argument missing/],
      [['--teacher-top', '0'], /--teacher-top/],
      [['--teacher-top', '1025'], /--teacher-top.*at most 1024/],
      [['--teacher-writes', '0'], /--teacher-writes/],
      [['--teacher-writes', 'many'], /--teacher-writes/],
      [['--teacher-writes', '200001'], /--teacher-writes.*at most 200000/],
    ];
    for (const [flags, says] of refused) {
      const { code, out, err } = await run(...flags);
      expect([flags, code, out]).toEqual([flags, 2, '']);
      expect(err).toMatch(says);
    }
  });

  it('teacher add refuses an unknown family and lists those that are supported', () => {
    writeFileSync(join(parent, 'teacher', 'config.json'), '{"model_type": "mamba"}');
    const { code, out, err } = cli(real, 'teacher', 'add', 'teacher', '--workspace', workspace, '--json');
    expect(code).toBe(2);
    expect(json(out)).toMatchObject({ supported: false, architecture: 'mamba' });
    expect(err).toMatch(/Llama.*Qwen2.*Qwen3/s);
  });

  it('teacher add says of quantised weights what to choose, and only once', async () => {
    const config = { model_type: 'llama', _name_or_path: 'acme/whole', quantization_config: { quant_method: 'fp8' } };
    writeFileSync(join(parent, 'teacher', 'config.json'), JSON.stringify(config));
    const { code, err } = await inProcess(
      realPort,
      'teacher',
      'add',
      join(parent, 'teacher'),
      '--workspace',
      workspace,
    );
    expect(code).toBe(2);
    expect(err).toContain('Why: The weights of this model are quantised (FP8).');
    expect(err).toContain('What to do: Choose the model from which it was made, acme/whole, or a GGUF file of it.\n');
    expect(err.match(/What to do/g)).toHaveLength(1);
  });

  it.skipIf(!existsSync(join(demoTeacher, 'model.safetensors')))(
    'teacher add merges an adapter into its base, once, and remembers it',
    async () => {
      const adapter = join(parent, 'adapter');
      await writeTinyAdapter(adapter, demoTeacher);
      const add = (...more: string[]) =>
        inProcess(realPort, 'teacher', 'add', adapter, '--workspace', workspace, '--json', ...more);
      const alone = await add();
      expect(alone.code).toBe(2);
      expect(alone.err).toContain('(acme/base)');
      expect(alone.err).toContain('--base');
      const first = await add('--base', demoTeacher);
      expect(first.code).toBe(0);
      const card = json(first.out) as { folder: string };
      expect(card).toMatchObject({ supported: true, folder: expect.stringContaining('adapter-merged-') as string });
      const written = statSync(join(card.folder, 'model.safetensors')).mtimeMs;
      expect(json((await add('--base', demoTeacher)).out)).toEqual(card);
      expect(statSync(join(card.folder, 'model.safetensors')).mtimeMs).toBe(written);
      const list = await inProcess(realPort, 'teacher', 'list', '--workspace', workspace, '--json');
      expect(json(list.out)).toMatchObject([{ name: 'adapter', card }]);
    },
  );

  it('a path may begin with ~, as a quoted one does', () => {
    expect(absolutePath('~/rows.tsv')).toBe(join(homedir(), 'rows.tsv'));
    expect(absolutePath('~')).toBe(homedir());
    expect(absolutePath('~other/rows.tsv')).toBe(join(process.cwd(), '~other', 'rows.tsv'));
  });
});
