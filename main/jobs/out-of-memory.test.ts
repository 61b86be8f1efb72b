/** What a person is told when the memory runs out: real workers in real limits. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import type { JobSpec } from '../contract/jobs.ts';
import { makeTinyExperiment } from '../pipeline/fixtures/tiny-experiment.ts';
import { sampleRecipe } from './fixtures/sample-recipe.ts';
import { forkPort } from './fork-port.ts';
import { runInWorker } from './host.ts';
import type { SpawnPort } from './spawn-port.ts';

const entry = fileURLToPath(new URL('./fixtures/counting-worker.ts', import.meta.url));
const demo = fileURLToPath(new URL('../../resources/demo/', import.meta.url));
const linux = process.platform === 'linux';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-memory-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A program that runs Node after `setup`, a line of shell. */
function limited(setup: string): string {
  const path = join(folder, 'limited.sh');
  writeFileSync(path, `#!/bin/sh\n${setup}\nexec "${process.execPath}" "$@"\n`);
  chmodSync(path, 0o700);
  return path;
}
function spec(behaviour: string): JobSpec {
  return { kind: 'distil', recipe: sampleRecipe(behaviour), folder };
}
async function failure(port: SpawnPort, job: JobSpec): Promise<TritsmithError> {
  const thrown: unknown = await runInWorker(port, job).then(
    (outcome) => outcome,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TritsmithError);
  return thrown as TritsmithError;
}

/** A memory control group of 300 MB for the test, where this user may make one. */
function controlGroup(): string | null {
  for (const [root, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const path = join(root, `tritsmith-test-${String(process.pid)}`);
    try {
      mkdirSync(path);
      if (existsSync(join(path, limit))) {
        writeFileSync(join(path, limit), String(300e6));
        return path;
      }
      rmdirSync(path);
    } catch {
      // Not for us.
    }
  }
  return null;
}
const group = linux ? controlGroup() : null;
if (group !== null) rmdirSync(group);

describe.runIf(linux)('out of memory', () => {
  it('in the JavaScript heap is told as such, with the setting to lower and its value', async () => {
    const error = await failure(
      forkPort(entry, limited('export NODE_OPTIONS=--max-old-space-size=48')),
      spec('eats-heap'),
    );
    expect(error.code).toBe('out-of-memory');
    expect(error.message).toBe('The memory ran out during distil.');
    expect(error.details).toContain('heap out of memory');
    expect(error.remedy).toContain('optimiser.microBatchTokens at 2048 instead of 4096');
    expect(error.remedy).toContain('recomputeActivations');
  });

  it('in a buffer that the system does not grant is told as such', async () => {
    const error = await failure(forkPort(entry, limited('ulimit -v 4000000')), spec('eats-buffers'));
    expect(error.code).toBe('out-of-memory');
    expect(error.reason).toContain('Array buffer allocation failed');
    expect(error.remedy).toContain('microBatchTokens');
  });

  it('in the training of a model is told as such by the real worker', async () => {
    const recipe = await makeTinyExperiment(folder);
    const optimiser = { ...recipe.finetune!.optimiser, batchSize: 4096, microBatchTokens: 500_000 };
    const task = { ...recipe.task, train: join(demo, 'task', 'train.tsv'), limit: 4000, maxLength: 128 };
    const error = await failure(forkPort(undefined, limited('ulimit -v 3400000')), {
      kind: 'finetune',
      recipe: { ...recipe, task, finetune: { epochs: 1, steps: 2, optimiser } },
      folder,
    });
    expect([error.code, error.details]).toEqual(['out-of-memory', expect.any(String)]);
    expect(error.remedy).toContain('at 250000 instead of 500000');
  });

  it.runIf(group !== null)(
    'by the hand of the system is told from a plain kill, with the memory that the worker held',
    async () => {
      expect(controlGroup()).toBe(group);
      const error = await failure(forkPort(entry, limited(`echo $$ > ${group!}/cgroup.procs`)), spec('eats-buffers'));
      rmdirSync(group!);
      expect(error.code).toBe('out-of-memory');
      expect(error.reason).toMatch(
        /^The system ended it to free memory; the worker held up to [1-5]\d\d MB of this machine's/,
      );
    },
  );
});
