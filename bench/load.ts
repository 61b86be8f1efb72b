/**
 * `npm run bench -- load [--experiments N] [--points N] [--task-gb N] [--train-rows N] [--corpus-gb N] [--folder F]`: how long the workbench takes for what the
 * interface asks of it when the workspace is full and files are large, and how much memory that takes. Wall time, and processor time beside it,
 * which other programs disturb less.
 */
import { createRouterClient } from '@orpc/server';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { loadavg, availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readCorpus } from '../main/formats/datasets/index.ts';
import { forkPort } from '../main/jobs/fork-port.ts';
import type { SpawnPort } from '../main/jobs/spawn-port.ts';
import { openApplication } from '../main/workbench/interface/application.ts';
import { workbenchRouter } from '../main/workbench/interface/procedures/router.ts';
import { fillWorkspace, longestRun, writeTaskFile } from './load/full-workspace.ts';
import { trainOnFile } from './load/train-on-file.ts';
import { median } from '../main/basics/numbers.ts';
import { loadNote, table } from './table.ts';

interface Timed {
  readonly procedure: string;
  readonly firstMs: number;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly cpuMs: number;
}
interface Large {
  readonly what: string;
  readonly seconds: number;
  /** Peak resident memory of the process that read it. */
  readonly peakBytes: number | null;
  /** Longest time for which the workbench itself did not answer meanwhile. */
  readonly blockedMs: number;
  readonly note: string;
}

const roundCount = 15;
const runtimeWorker = fileURLToPath(new URL('../main/jobs/helper-worker.ts', import.meta.url));

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      experiments: { type: 'string', default: '1000' },
      points: { type: 'string', default: '10000000' },
      'task-gb': { type: 'string', default: '2' },
      'train-rows': { type: 'string' },
      'corpus-gb': { type: 'string', default: '20' },
      folder: { type: 'string', default: tmpdir() },
      json: { type: 'boolean', default: false },
    },
  });
  const folder = mkdtempSync(join(values.folder, 'tritsmith-load-'));
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const began = performance.now();
    const workspace = join(folder, 'workspace');
    await fillWorkspace(workspace, { experiments: Number(values.experiments), points: Number(values.points) }, say);
    const databaseBytes = statSync(join(workspace, 'workbench.sqlite')).size;
    say(
      `filled in ${((performance.now() - began) / 1000).toFixed(0)} s, database ${(databaseBytes / 1e6).toFixed(0)} MB`,
    );
    const peaks = new Map<number, number>();
    const opening = performance.now();
    const application = await openApplication({
      folder: workspace,
      shell: 'browser',
      paths: { kind: 'sender-is-user' },
      jobs: watched(peaks),
      runtime: watched(peaks, runtimeWorker),
    });
    const openMs = performance.now() - opening;
    try {
      const client = createRouterClient(workbenchRouter(), { context: { application } });
      const timed = await timeProcedures(client);
      const rssBytes = process.memoryUsage.rss();
      const large: Large[] = [];
      if (Number(values['task-gb']) > 0)
        large.push(
          ...(await largeTask(client, folder, Number(values['task-gb']) * 1e9, values['train-rows'], peaks, say)),
        );
      if (Number(values['corpus-gb']) > 0)
        large.push(await largeCorpus(folder, Number(values['corpus-gb']) * 1e9, say));
      const result = {
        experiments: Number(values.experiments),
        points: Number(values.points),
        databaseBytes,
        openMs,
        rssBytes,
        procedures: timed,
        large,
      };
      process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : print(result));
      if (timed.some(({ cpuMs }) => cpuMs > 100)) process.exitCode = 1;
    } finally {
      await application.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Client = ReturnType<typeof createRouterClient<ReturnType<typeof workbenchRouter>, Record<never, never>>>;

async function timeProcedures(client: Client): Promise<Timed[]> {
  const id = longestRun;
  const names = (await client.experiments.curveNames({ id })).map(({ name }) => name);
  const [{ last } = { last: 0 }] = await client.experiments.curveNames({ id });
  const middle = Math.floor(last / 2);
  let turn = 0;
  // Without those that read files in a process of their own (differing rows, reports): their time is the files', not the workspace's.
  const actions: Record<string, () => Promise<unknown>> = {
    'application.information': () => client.application.information(),
    'application.settings': () => client.application.settings(),
    'application.changeSettings': () =>
      client.application.changeSettings({ theme: turn++ % 2 === 0 ? 'dark' : 'light' }),
    'experiments.list': () => client.experiments.list(),
    'experiments.get': () => client.experiments.get({ id }),
    'experiments.log': () => client.experiments.log({ id }),
    'experiments.curveNames': () => client.experiments.curveNames({ id }),
    'experiments.curves (8 whole)': () => client.experiments.curves({ id, names, points: 600 }),
    'experiments.curves (8, zoomed)': () =>
      client.experiments.curves({ id, names, from: middle, to: middle + 5000, points: 600 }),
    'experiments.curves (8, 4000 points)': () => client.experiments.curves({ id, names, points: 4000 }),
    'experiments.annotate': () => client.experiments.annotate({ id, notes: `note ${turn++}` }),
    'experiments.recipeDifferences': () => client.experiments.recipeDifferences({ ids: [id, 'load-2'] }),
    'experiments.remove, restore': async () => {
      await client.experiments.remove({ id: 'load-3' });
      await client.experiments.restore({ id: 'load-3' });
    },
    'results.get': () => client.results.get({ id }),
    'teachers.list': () => client.teachers.list(),
    'drafts.save': () => client.drafts.save({ id: 'load', title: 'Load', content: { turn: turn++ } }),
    'drafts.list': () => client.drafts.list(),
    'benchmarks.list': () => client.benchmarks.list(),
    'files.browse': () => client.files.browse({}),
  };
  const timed: Timed[] = [];
  for (const [procedure, act] of Object.entries(actions)) {
    const walls: number[] = [];
    const cpus: number[] = [];
    for (let round = 0; round < roundCount; round += 1) {
      const cpu = process.cpuUsage();
      const started = performance.now();
      await act();
      walls.push(performance.now() - started);
      const { user, system } = process.cpuUsage(cpu);
      cpus.push((user + system) / 1000);
    }
    const [firstMs = 0, ...rest] = walls;
    timed.push({ procedure, firstMs, medianMs: median(rest), worstMs: Math.max(...rest), cpuMs: median(cpus) });
  }
  return timed;
}

/** Production workers whose peak memory is noted by process id. */
function watched(peaks: Map<number, number>, entry?: string): SpawnPort {
  const port = forkPort(entry);
  return {
    spawn: () => {
      const worker = port.spawn();
      const { pid } = worker;
      const timer = setInterval(() => {
        const peak = pid === undefined ? null : peakOf(pid);
        if (pid !== undefined && peak !== null) peaks.set(pid, peak);
      }, 100);
      worker.onExit(() => clearInterval(timer));
      return worker;
    },
  };
}

function peakOf(pid: number): number | null {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}

async function observed(what: string, peaks: Map<number, number> | null, work: () => Promise<string>): Promise<Large> {
  peaks?.clear();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const started = performance.now();
  const note = await work();
  const seconds = (performance.now() - started) / 1000;
  await sleep(10);
  delay.disable();
  const peakBytes =
    peaks === null ? process.resourceUsage().maxRSS * 1024 : peaks.size === 0 ? null : Math.max(...peaks.values());
  return { what, seconds, peakBytes, blockedMs: delay.max / 1e6, note };
}

async function largeTask(
  client: Client,
  folder: string,
  bytes: number,
  trainRows: string | undefined,
  peaks: Map<number, number>,
  say: (line: string) => void,
): Promise<Large[]> {
  const limit = trainRows === undefined ? undefined : Number(trainRows);
  const train = join(folder, 'task.tsv');
  say(`writing a task file of ${(bytes / 1e9).toFixed(1)} GB`);
  writeTaskFile(train, bytes);
  const settings = { train, textColumns: ['text'], labelColumn: 'queue' };
  return [
    await observed(
      'tasks.preview',
      peaks,
      async () => `${(await client.tasks.preview({ settings, offset: 0, count: 20 })).rows.length} rows`,
    ),
    await observed('tasks.check', peaks, async () => {
      const { train: report, warnings } = await client.tasks.check({ settings });
      return `${report.rows} rows; ${warnings.join(' ')}`;
    }),
    await observed('training', peaks, () => trainOnFile(train, join(folder, 'training'), watched(peaks), limit)),
  ];
}

/** Sparse behind its first megabytes: nothing but zero bytes, one endless line, which must be cut into documents all the same. */
async function largeCorpus(folder: string, bytes: number, say: (line: string) => void): Promise<Large> {
  const path = join(folder, 'corpus.txt');
  mkdirSync(folder, { recursive: true });
  const file = openSync(path, 'w');
  for (let line = 0; line < 20_000; line += 1)
    writeSync(file, `This is sentence ${line} of a corpus that goes on and on.\n\n`);
  ftruncateSync(file, bytes);
  closeSync(file);
  say(`reading a corpus of ${(bytes / 1e9).toFixed(1)} GB`);
  return observed('corpus, read to its end', null, async () => {
    let documents = 0;
    let characters = 0;
    for await (const { text } of readCorpus(path)) {
      documents += 1;
      characters += text.length;
      if (documents % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return `${documents} documents, ${(characters / 1e9).toFixed(2)} billion characters`;
  });
}

interface Result {
  readonly experiments: number;
  readonly points: number;
  readonly databaseBytes: number;
  readonly openMs: number;
  readonly rssBytes: number;
  readonly procedures: readonly Timed[];
  readonly large: readonly Large[];
}

function print(result: Result): string {
  const { experiments, points, databaseBytes, openMs, rssBytes, procedures, large } = result;
  const ms = (value: number): string => value.toFixed(1);
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return `${experiments} experiments, ${points} metric points, database ${megabytes(databaseBytes)}; opened in ${ms(openMs)} ms; the workbench holds ${megabytes(rssBytes)}
${loadNote(loadavg()[0]!, availableParallelism(), 1)}

${table([
  ['procedure', 'first ms', 'median ms', 'worst ms', 'processor ms'],
  ...procedures.map(({ procedure, firstMs, medianMs, worstMs, cpuMs }) => [
    procedure,
    ms(firstMs),
    ms(medianMs),
    ms(worstMs),
    ms(cpuMs),
  ]),
])}

${table([
  ['large file', 'seconds', 'peak memory', 'workbench blocked ms', 'found'],
  ...large.map(({ what, seconds, peakBytes, blockedMs, note }) => [
    what,
    seconds.toFixed(1),
    peakBytes === null ? '-' : megabytes(peakBytes),
    ms(blockedMs),
    note,
  ]),
])}
`;
}
