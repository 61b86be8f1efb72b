/** Every write of every job on a disk that is full: what a person is told, what is left behind, and that the job goes on once there is room. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import type { JobKind } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { mountSmallDisk, noSmallDisk } from '../testing/small-disk.ts';
import { forkPort } from './fork-port.ts';
import { runInWorker } from './host.ts';
import { makeTinyExperiment } from '../pipeline/fixtures/tiny-experiment.ts';
import { jobsOf } from '../pipeline/inspect/cost.ts';

const disk = mountSmallDisk(40);
const root = mkdtempSync(join(tmpdir(), 'tritsmith-full-'));
const whole = join(root, 'whole');
let recipe: Recipe;
let folder: string;

const run = (kind: JobKind, where: string) =>
  runInWorker(forkPort(), { kind, recipe, folder: where }, { onEvent: () => undefined });

beforeAll(async () => {
  if (disk === null) {
    process.stdout.write(`${noSmallDisk}\n`);
    return;
  }
  // The 4-bit teacher has a test of its own; here llama.cpp counts as not installed.
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  recipe = await makeTinyExperiment(root, { baseline: false });
  mkdirSync(whole);
  for (const kind of jobsOf(recipe)) await run(kind, whole);
});
afterEach(() => {
  disk?.free();
  if (disk !== null) for (const name of readdirSync(disk.folder)) rmSync(join(disk.folder, name), { recursive: true });
});
afterAll(() => {
  disk?.unmount();
  rmSync(root, { recursive: true, force: true });
});

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A file, or the files below a folder by path, without what differs from run to run. */
function contents(of: string): Record<string, string> {
  if (statSync(of).isFile()) return { '': sha256(of) };
  return Object.fromEntries(
    readdirSync(of, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/exports\.json|comparison\.json/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(of.length), sha256(path)]),
  );
}
function drafts(of: string): string[] {
  return readdirSync(of, { recursive: true })
    .map(String)
    .filter((name) => /\.tmp$|\.partial$|\.draft-/.test(name));
}

/** The experiment as it was before `kind`, on the small disk. */
function before(kind: JobKind, products: readonly string[]): void {
  folder = join(disk!.folder, kind);
  cpSync(whole, folder, { recursive: true });
  for (const path of ['checkpoints', ...products]) rmSync(join(folder, path), { recursive: true, force: true });
}

async function failure(kind: JobKind): Promise<TritsmithError> {
  const thrown: unknown = await run(kind, folder).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(TritsmithError);
  return thrown as TritsmithError;
}

describe.skipIf(disk === null)('a full disk', () => {
  it.each<[what: string, kind: JobKind, products: string[], left: number, file: RegExp]>([
    ['a checkpoint', 'finetune', ['teacher'], 200_000, /step-\d+\.safetensors/],
    ['the manifest of a checkpoint', 'finetune', ['teacher'], 3_600_000, /step-\d+\.(json|safetensors)/],
    [
      'the tokens of the task',
      'finetune',
      ['cache/task.tokens', 'cache/task.tokens.json', 'teacher'],
      0,
      /task\.tokens/,
    ],
    ['a stage’s model', 'refine', ['refined'], 300_000, /refined.model\.safetensors/],
    [
      'the tokens of a corpus',
      'pretrain',
      ['cache/corpus.tokens', 'cache/corpus.tokens.json', 'pretrained'],
      0,
      /corpus\.tokens/,
    ],
    ['an evaluation', 'evaluate', ['evaluations'], 0, /evaluations.*\.json/],
    ['an export', 'export', ['exports'], 40_000, /exports/],
    ['a measurement', 'measure-student', ['measurements'], 0, /measurements/],
  ])(
    'at %s is told with what is needed, where and what to do; nothing half-written stays, and it goes on',
    async (_, kind, products, left, file) => {
      before(kind, products);
      disk!.fill(left);
      const error = await failure(kind);
      expect(error.code).toBe('no-space');
      expect(error.message).toMatch(/^The disk is full: .* could not be written\.$/);
      expect(error.message).toMatch(file);
      expect(error.message).toContain(basename(disk!.folder));
      expect(error.reason).toMatch(/^It needs [\d.]+ [kMG]?B; [\d.]+ [kM]?B are free/);
      expect(error.remedy).toMatch(/^Free (at least [\d.]+ [kMG]B|some space) on that disk .*resume/);
      expect(drafts(folder)).toEqual([]);

      disk!.free();
      expect((await run(kind, folder)).state).toBe('done');
      for (const product of products)
        if (product !== 'measurements')
          expect(contents(join(folder, product)), product).toEqual(contents(join(whole, product)));
    },
  );
});
