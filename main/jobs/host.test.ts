import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel, StudentError } from '../../native/runtime.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { JobEvent, JobSpec } from '../contract/jobs.ts';
import { sampleRecipe } from './fixtures/sample-recipe.ts';
import { forkPort } from './fork-port.ts';
import { askWorker, runInWorker } from './host.ts';
import { StopSignal } from './stop-signal.ts';

const port = forkPort(fileURLToPath(new URL('./fixtures/counting-worker.ts', import.meta.url)));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-jobs-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function spec(behaviour: string, steps = 50, checkpointSteps = 10): JobSpec & { kind: 'distil' } {
  return { kind: 'distil', recipe: sampleRecipe(behaviour, { steps, checkpointSteps }), folder };
}

/** What the counting job left. */
function counted(): unknown {
  return JSON.parse(readFileSync(join(folder, 'distil.json'), 'utf8'));
}

function failureOf(work: () => unknown): StudentError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof StudentError) return thrown;
    throw thrown;
  }
  throw new Error('it did not fail');
}

async function failure(promise: Promise<unknown>): Promise<TritsmithError> {
  const thrown: unknown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TritsmithError);
  return thrown as TritsmithError;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${String(pid)}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

/** The linear congruential sequence of the counting job, computed here independently of any process. */
function expectedValue(seed: number, steps: number): number {
  let value = BigInt(seed);
  for (let step = 0; step < steps; step++) value = (value * 1_664_525n + 1_013_904_223n) % 2n ** 32n;
  return Number(value);
}

describe('a job in a worker process', () => {
  it('hands on every event in order and ends with the result', async () => {
    const events: JobEvent[] = [];
    const outcome = await runInWorker(port, spec('counts', 20), { onEvent: (event) => events.push(event) });
    expect(outcome).toEqual({ state: 'done', result: { steps: 20 } });
    expect(counted()).toEqual({ step: 20, value: expectedValue(7, 20) });
    const progress = events.filter((event) => event.type === 'progress').map((event) => event.done);
    expect(progress).toEqual(Array.from({ length: 21 }, (_, step) => step));
    expect(events.filter((event) => event.type === 'checkpoint').map((event) => event.step)).toEqual([10, 20]);
    expect(events.at(-1)?.type).toBe('done');
  });

  it('is not believed when it says something else than its kind finds out', async () => {
    const error = await failure(runInWorker(port, spec('mumbles', 1)));
    expect(error).toMatchObject({ code: 'internal', message: 'The result of "distil" has an unexpected shape.' });
    expect(error.details).toContain('steps');
  });

  it('pauses with the state saved, and goes on from there to the same value', async () => {
    const signal = new StopSignal();
    const paused = await runInWorker(port, spec('waits in distil'), {
      signal,
      onEvent: (event) => {
        if (event.type === 'progress' && event.done === 20) signal.ask('pause');
      },
    });
    expect(paused).toEqual({ state: 'paused', step: 20 });
    let resumedFrom = -1;
    const outcome = await runInWorker(port, spec('waits in distil'), {
      onEvent: (event) => {
        if (event.type === 'progress' && resumedFrom < 0) resumedFrom = event.resumed;
      },
    });
    expect(resumedFrom).toBe(20);
    expect(outcome).toEqual({ state: 'done', result: { steps: 50 } });
    expect(counted()).toEqual({ step: 50, value: expectedValue(7, 50) });
  });

  it('cancels without saving', async () => {
    const signal = new StopSignal();
    const outcome = await runInWorker(port, spec('waits in distil', 50, 1000), {
      signal,
      onEvent: (event) => {
        if (event.type === 'progress' && event.done === 20) signal.ask('cancel');
      },
    });
    expect(outcome).toEqual({ state: 'cancelled' });
    expect(existsSync(join(folder, 'checkpoints', 'distil', 'last.json'))).toBe(false);
  });

  it('kills a worker that does not obey a cancel', async () => {
    const signal = new StopSignal();
    let pid = 0;
    const running = runInWorker(port, spec('deaf'), {
      signal,
      cancelSeconds: 0.2,
      onStart: (started) => {
        pid = started ?? 0;
      },
    });
    signal.ask('cancel');
    expect(await running).toEqual({ state: 'cancelled' });
    expect(alive(pid)).toBe(false);
  });

  it('reports a silent worker and lets it live', async () => {
    const signal = new StopSignal();
    let silent = 0;
    const outcome = await runInWorker(port, spec('deaf'), {
      signal,
      silentAfterMinutes: 0.1 / 60,
      cancelSeconds: 0.1,
      onSilent: (minutes) => {
        silent = minutes;
        signal.ask('cancel');
      },
    });
    // Said a moment after it is due, never before; timers may be a millisecond early.
    expect(silent).toBeGreaterThan(0.099 / 60);
    expect(outcome.state).toBe('cancelled');
  });

  it('says that a killed worker died and that resuming helps; resuming gives the uninterrupted value', async () => {
    const error = await failure(
      (async () => {
        let pid = 0;
        await runInWorker(port, spec('waits in distil'), {
          onStart: (started) => {
            pid = started ?? 0;
          },
          onEvent: (event) => {
            if (event.type === 'progress' && event.done === 20) process.kill(pid, 'SIGKILL');
          },
        });
      })(),
    );
    expect(error.code).toBe('worker-died');
    expect(error.reason).toContain('SIGKILL');
    expect(error.remedy).toMatch(/^Resume/);
    const outcome = await runInWorker(port, spec('waits in distil'));
    expect(outcome).toEqual({ state: 'done', result: { steps: 50 } });
    expect(counted()).toEqual({ step: 50, value: expectedValue(7, 50) });
  });

  it('keeps the last output of a worker that aborted, and understands it', async () => {
    const error = await failure(runInWorker(port, spec('exits')));
    expect(error.code).toBe('out-of-memory');
    expect(error.details).toContain('std::bad_alloc');
  });

  it('carries a typed error across whole', async () => {
    const error = await failure(runInWorker(port, spec('throws')));
    expect(error.serialise()).toEqual({
      code: 'bad-input',
      message: 'Row 7 has no label.',
      cause: 'it is empty',
      remedy: 'Mend row 7.',
    });
  });

  it('carries an error of the catalogue as id and parameters, and its text', async () => {
    const error = await failure(runInWorker(port, spec('throws-by-id')));
    expect(error.serialise()).toMatchObject({
      code: 'not-found',
      id: 'tensor.absent',
      params: { path: 'a.gguf', name: 'b' },
      message: 'a.gguf holds no tensor "b".',
    });
  });

  it("keeps code and remedy of the native runtime's own errors", async () => {
    mkdirSync(join(folder, 'exports'));
    writeFileSync(join(folder, 'exports', 'student.gguf'), 'GGUF\u0003\0\0\0 and no more');
    const file = { model: 'bitdistill', path: 'exports/student.gguf', type: 'i2_s', verified: true };
    writeFileSync(
      join(folder, 'exports', 'exports.json'),
      JSON.stringify([{ ...file, bodyBytes: 1, fileBytes: 26, pruning: null }]),
    );
    const error = await failure(runInWorker(forkPort(), { ...spec('measures'), kind: 'measure-student' }));
    const own = failureOf(() => loadModel(join(folder, 'exports', 'student.gguf')));
    expect(own.remedy).toMatch(/\.$/);
    expect([error.code, error.message, error.remedy]).toEqual([own.code, own.message, own.remedy]);
  });

  it('carries an error that was thrown outside of the job, with its stack', async () => {
    const error = await failure(runInWorker(port, spec('throws-later')));
    expect(error.code).toBe('internal');
    expect(error.message).toBe('thrown outside of any promise');
    expect(error.details).toContain('counting-worker.ts');
  });

  it('lets NaN and infinity through: a diverged loss is a finding', async () => {
    const events: JobEvent[] = [];
    await runInWorker(port, spec('diverges'), { onEvent: (event) => events.push(event) });
    expect(events[0]).toEqual({ type: 'metrics', step: 1, values: { loss: NaN, 'gradient-norm': Infinity } });
  });

  it('turns a message outside of the protocol into a warning', async () => {
    const events: JobEvent[] = [];
    await runInWorker(port, spec('babbles'), { onEvent: (event) => events.push(event) });
    expect(events[0]).toMatchObject({ type: 'log', level: 'warning' });
  });

  it('says when the worker cannot be started', async () => {
    const error = await failure(runInWorker(forkPort(join(folder, 'missing.ts')), spec('counts')));
    expect(error.code).toBe('worker-died');
    expect(error.details).toContain('missing.ts');
  });

  it('ends the worker when the workbench is killed', async () => {
    const parent = spawn(process.execPath, [fileURLToPath(new URL('./fixtures/parent.ts', import.meta.url)), folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (data: Buffer) => {
        resolve(Number(data.toString()));
      });
    });
    while (!existsSync(join(folder, 'checkpoints', 'distil', 'last.json'))) await sleep(20);
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => alive(pid), { interval: 20 }).toBe(false);
  });
});

describe('a question to a worker', () => {
  it('gets a checked answer', async () => {
    const plan = await askWorker(port, { type: 'plan-jobs', recipe: sampleRecipe('counts'), size: null });
    expect(plan.map((job) => job.kind)).toEqual(['finetune', 'distil', 'evaluate']);
  });

  it('gets the worker’s error', async () => {
    const error = await failure(askWorker(port, { type: 'probe-runtime' }));
    expect(error.code).toBe('unsupported');
  });

  it('refuses an answer of another shape', async () => {
    const error = await failure(askWorker(port, { type: 'inspect-teacher', folder: 'somewhere' }));
    expect(error.code).toBe('internal');
    expect(error.message).toContain('inspect-teacher');
  });

  it('reaches the engine through the production worker', async () => {
    const probe = await askWorker(forkPort(), { type: 'probe-runtime' });
    expect(probe.onnxruntime).toMatch(/^\d+\.\d+\.\d+$/);
    expect(probe.executionProviders.map((provider) => provider.name)).toContain('cpu');
  });
});
