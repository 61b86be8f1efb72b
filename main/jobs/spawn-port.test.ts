/** What every port promises, held against both: the pinned Node for real, and Electron's utility processes by a stand-in that runs real processes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JobEvent, JobSpec } from '../contract/jobs.ts';
import { sampleRecipe } from './fixtures/sample-recipe.ts';
import { utilityStandIn } from './fixtures/utility-stand-in.ts';
import { forkPort } from './fork-port.ts';
import { askWorker, runInWorker } from './host.ts';
import type { SpawnPort, WorkerExit } from './spawn-port.ts';
import { StopSignal } from './stop-signal.ts';
import { utilityPort } from './utility-port.ts';

const counting = fileURLToPath(new URL('./fixtures/counting-worker.ts', import.meta.url));
const absent = fileURLToPath(new URL('./fixtures/no-worker.ts', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-port-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const spec = (behaviour: string, steps = 50): JobSpec & { kind: 'distil' } => ({
  kind: 'distil',
  recipe: sampleRecipe(behaviour, { steps, checkpointSteps: 10 }),
  folder,
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${String(pid)}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

const exitOf = (port: SpawnPort, after: (worker: ReturnType<SpawnPort['spawn']>) => void): Promise<WorkerExit> =>
  new Promise((resolve) => {
    const worker = port.spawn();
    worker.onExit(resolve);
    after(worker);
  });

const ports: Record<string, (entry: string) => SpawnPort> = {
  'the pinned Node': (entry) => forkPort(entry),
  "Electron's utility processes": (entry) => utilityPort(utilityStandIn(), entry, 'Tritsmith worker'),
};

describe.each(Object.entries(ports))('a port of %s', (_name, portFor) => {
  const port = portFor(counting);

  it('hands on every message in order, the last one before the exit, and numbers that JSON has not', async () => {
    const events: JobEvent[] = [];
    const outcome = await runInWorker(port, spec('counts', 20), { onEvent: (event) => events.push(event) });
    expect(outcome).toEqual({ state: 'done', result: { steps: 20 } });
    const steps = events.flatMap((event) => (event.type === 'progress' ? [event.done] : []));
    expect(steps).toEqual(Array.from({ length: 21 }, (_, step) => step));
    expect(events.at(-1)?.type).toBe('done');
    const values: number[] = [];
    await runInWorker(port, spec('diverges'), {
      onEvent: (event) => {
        if (event.type === 'metrics') values.push(...Object.values(event.values));
      },
    });
    expect(values).toEqual([NaN, Infinity]);
  });

  it('hears what it is told later', async () => {
    const signal = new StopSignal();
    const outcome = await runInWorker(port, spec('waits in distil'), {
      signal,
      onEvent: (event) => {
        if (event.type === 'progress' && event.done === 20) signal.ask('pause');
      },
    });
    expect(outcome).toEqual({ state: 'paused', step: 20 });
  });

  it('answers a question, and tells an error whole', async () => {
    expect(await askWorker(port, { type: 'check-exports', recipe: spec('counts').recipe })).toBeNull();
    await expect(askWorker(port, { type: 'inspect-file', path: join(folder, 'x.gguf') })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'No answer to inspect-file here.',
    });
  });

  it('ends a worker that ignores requests to end, at once and even before it has begun', async () => {
    let pid = 0;
    const exit = await exitOf(port, (worker) => {
      worker.onMessage(() => {
        pid = worker.pid ?? 0;
        worker.kill();
      });
      worker.send({ type: 'start', spec: spec('counts', 5000) });
    });
    expect(exit).toMatchObject({ code: null, signal: 'SIGKILL' });
    expect(pid).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
    expect(
      await exitOf(port, (worker) => {
        worker.kill();
      }),
    ).toMatchObject({ signal: 'SIGKILL' });
  });

  it('tells how a worker died and what it said last', async () => {
    let tail = (): string => '';
    const exit = await exitOf(port, (worker) => {
      tail = () => worker.outputTail();
      worker.send({ type: 'start', spec: spec('exits') });
    });
    expect(exit).toMatchObject({ code: 134 });
    expect(tail()).toContain('std::bad_alloc');
  });

  it('tells of an entry that is not there by an exit', async () => {
    const exit = await exitOf(portFor(absent), () => undefined);
    expect(exit.code).toBe(1);
  });
});
