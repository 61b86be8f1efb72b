/** The accuracy curve of a stage leaves no session of the engine behind. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { JobEvent } from '../../contract/jobs.ts';
import { OnnxSession, onnxRuntime } from '../../graph/onnx-runtime.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { runJob } from '../run-job.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-curve-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true });
});

it.each([['done'], ['cancelled']])('a stage that is %s releases every session that it made', async (how) => {
  const recipe = await makeTinyExperiment(root, { evaluation: { rowsDuringTraining: 8, everySteps: 2 } });
  const folder = join(root, 'experiment');
  mkdirSync(folder);
  // Both go through to the engine.
  const made = vi.spyOn(onnxRuntime, 'createSession');
  const released = vi.spyOn(OnnxSession.prototype, 'release');
  let accuracies = 0;
  const context = {
    emit: (event: JobEvent) => {
      if (event.type === 'metrics' && 'accuracy' in event.values) accuracies += 1;
    },
    stopRequested: () => (how === 'cancelled' && accuracies > 1 ? ('cancel' as const) : null),
  };
  const stage = runJob({ kind: 'finetune', recipe, folder }, context);
  if (how === 'done') await stage;
  else await expect(stage).rejects.toMatchObject({ request: 'cancel' });
  expect(accuracies).toBeGreaterThan(1);
  expect(made.mock.calls.length).toBeGreaterThan(3);
  expect(released.mock.calls.length).toBe(made.mock.calls.length);
});
