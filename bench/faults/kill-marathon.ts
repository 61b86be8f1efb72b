/**
 * Kills experiments again and again, at moments drawn from a seed, in every stage, while checkpoints and exports are written, and compares
 * every artifact of those that reach their end with an undisturbed run.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTinyExperiment, smallest } from '../../main/pipeline/fixtures/tiny-experiment.ts';
import { openWorkspace } from '../../main/workbench/workspace/workspace.ts';
import { Random } from '../../main/basics/random.ts';
import { WatchedRun } from './watched-run.ts';

type Aim = 'start' | 'stage' | 'checkpoint' | 'export';
const victims = ['worker', 'workbench', 'both'] as const;
type Victim = (typeof victims)[number];

export interface Kill {
  readonly experiment: string;
  readonly aim: Aim;
  readonly victim: Victim;
  /** The job that was running; null before the first. */
  readonly stage: string | null;
}
export interface MarathonResult {
  readonly seed: number;
  readonly kills: readonly Kill[];
  /** Experiments that were killed and went on to their end. */
  readonly finished: number;
  readonly comparedFiles: number;
  /** What differs from the undisturbed run, or was left behind; empty when all is well. */
  readonly faults: readonly string[];
  readonly seconds: number;
}

/** Seconds that each job took undisturbed, its process's start included. */
type Spans = ReadonlyMap<string, number>;

/** Runs in `folder`, which is left to the caller. Ends after `kills` kills and the end of the last experiment. */
export async function killMarathon(
  folder: string,
  kills: number,
  seed: number,
  say: (line: string) => void = () => undefined,
): Promise<MarathonResult> {
  const began = performance.now();
  const random = new Random(seed);
  const workspace = join(folder, 'workspace');
  mkdirSync(folder, { recursive: true });
  const recipe = join(folder, 'recipe.json');
  writeFileSync(recipe, JSON.stringify(await makeTinyExperiment(folder, {}, { ...smallest, evaluationRows: 6 })));
  const reference = join(workspace, 'experiments', 'tiny-1');
  const spans = await undisturbed(reference, ['run', recipe, '--workspace', workspace]);
  const expected = productsOf(reference);
  say(`seed ${seed}: undisturbed run in ${((performance.now() - began) / 1000).toFixed(1)} s, ${expected.size} files`);

  const done: Kill[] = [];
  const faults: string[] = [];
  let finished = 0;
  for (let number = 2; done.length < kills; number += 1) {
    const id = `tiny-${number}`;
    const experiment = join(workspace, 'experiments', id);
    for (;;) {
      const created = existsSync(join(experiment, 'experiment.json'));
      const run = new WatchedRun(experiment, [
        ...(created ? ['resume', id] : ['run', recipe]),
        '--workspace',
        workspace,
      ]);
      const kill = done.length < kills ? await strike(run, id, random, spans) : null;
      const code = await run.ended;
      if (kill !== null) {
        done.push(kill);
        say(`${done.length} ${id}: ${kill.victim} killed at ${kill.aim} (${kill.stage ?? 'before any job'})`);
      }
      if (code === 0) break;
      if (kill === null) throw new Error(`seed ${seed}: ${id} ended with ${String(code)}:\n${run.err}`);
    }
    finished += 1;
    faults.push(...differences(expected, productsOf(experiment)).map((fault) => `${id}: ${fault}`));
  }
  faults.push(...(await damageOf(workspace)));
  const seconds = (performance.now() - began) / 1000;
  return { seed, kills: done, finished, comparedFiles: expected.size * finished, faults, seconds };
}

async function undisturbed(folder: string, args: readonly string[]): Promise<Spans> {
  const spans = new Map<string, number>();
  const run = new WatchedRun(folder, args);
  let last = performance.now();
  await run.until(() => {
    const { started } = run;
    const current = started.at(-1);
    if (started.length > spans.size && current !== undefined) {
      last = performance.now();
      spans.set(current, 0);
    }
    if (current !== undefined) spans.set(current, performance.now() - last);
    return false;
  });
  if ((await run.ended) !== 0) throw new Error(`The undisturbed run failed:\n${run.err}`);
  return spans;
}

/** Waits for a moment drawn from `random` and kills; null when the run ended before that moment came. */
async function strike(run: WatchedRun, experiment: string, random: Random, spans: Spans): Promise<Kill | null> {
  const drawn = random.uniform();
  const aim: Aim = drawn < 0.1 ? 'start' : drawn < 0.5 ? 'stage' : drawn < 0.8 ? 'checkpoint' : 'export';
  let victim = victims[random.below(victims.length)]!;
  // The job that a resume begins with, or the one after.
  const job = random.uniform() < 0.55 ? 1 : 2;
  const share = random.uniform();
  let struck = true;
  if (aim === 'start') await sleep(share * 600);
  else if (aim === 'stage') {
    struck = await run.until(() => run.started.length >= job);
    await sleep(share * (spans.get(run.started.at(-1) ?? '') ?? 500));
  } else if (aim === 'checkpoint') {
    // One of the next few that are written; an experiment past its training has none.
    const skipped = random.below(3);
    for (let written = 0; struck && written <= skipped; written += 1) {
      if (written > 0) struck = await run.until(() => !run.isWriting('checkpoints'));
      struck = struck && (await run.until(() => run.isWriting('checkpoints') || run.started.includes('evaluate')));
    }
    await sleep(share * 3);
  } else {
    struck = await run.until(
      () => run.isWriting('exports') || (run.started.length > 2 && !run.started.includes('export')),
    );
    await sleep(share * 40);
  }
  if (!struck || run.child.exitCode !== null) return null;
  const { worker } = run;
  if (worker === null) victim = 'workbench';
  const stage = run.started.at(-1) ?? null;
  const actual: Aim =
    aim === 'checkpoint' || aim === 'export'
      ? run.isWriting('exports')
        ? 'export'
        : run.isWriting('checkpoints')
          ? 'checkpoint'
          : 'stage'
      : aim;
  if (victim !== 'workbench' && !kill(worker!)) return null;
  if (victim !== 'worker') run.child.kill('SIGKILL');
  return { experiment, aim: actual, victim, stage };
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}

/** SHA-256 of every file that the stages and the export made, by its path. Measured speeds differ from run to run and are no product. */
function productsOf(experiment: string): Map<string, string> {
  const products = new Map<string, string>();
  for (const entry of readdirSync(experiment, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(experiment, path);
    if (
      /^(?:checkpoints|measurements)[\\/]|^(?:experiment|comparison|worker)\.json$|\.jsonl$|^exports[\\/]exports\.json$/.test(
        name,
      )
    )
      continue;
    products.set(name, createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return products;
}

function differences(expected: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): string[] {
  return [
    ...[...expected]
      .filter(([name, hash]) => found.get(name) !== hash)
      .map(([name]) => `${name} ${found.has(name) ? 'differs' : 'is missing'}`),
    ...[...found.keys()].filter((name) => !expected.has(name)).map((name) => `${name} was left behind`),
  ];
}

/** The database after all this, and the curves in it: each as long as the undisturbed one's. */
async function damageOf(folder: string): Promise<string[]> {
  const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'kill marathon' });
  try {
    const integrity = String(workspace.database.pragma('integrity_check', { simple: true }));
    const kept = workspace.notices.filter((notice) => notice.includes('damaged'));
    return [...(integrity === 'ok' ? [] : [`database: ${integrity}`]), ...kept];
  } finally {
    workspace.close();
  }
}
