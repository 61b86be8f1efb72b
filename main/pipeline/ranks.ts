/** A process that is one rank of several: joining the others, and making sure that all would compute the same. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { addonPath } from '../../native/addon.ts';
import { buildMpi, loadMpi, type NativeMpi } from '../../native/mpi/index.ts';
import { availableKernels } from '../../native/runtime.ts';
import { fileSha256 } from '../basics/file-digest.ts';
import { TritsmithError } from '../contract/errors.ts';
import { type JobSpec, jobSpec } from '../contract/jobs.ts';
import { assertRanksShare } from '../contract/ranks-of-recipe.ts';
import type { Recipe } from '../contract/recipe.ts';
import { type Collective, fromRoot, gatherTexts } from '../training/collective.ts';

/** Compiles the exchange where that is due. @throws TritsmithError where there is no MPI, or its compiler fails */
export function prepareMpi(): void {
  const build = buildMpi();
  if (build.state === 'missing') throw new TritsmithError('not-found', 'mpi.missing');
  if (build.state === 'no-sources') throw new TritsmithError('unsupported', 'mpi.no-sources');
  if (build.state === 'failed')
    throw new TritsmithError('unsupported', 'mpi.not-built', undefined, { details: build.output });
}

export interface JoinedRanks {
  readonly collective: Collective;
  readonly mpi: NativeMpi;
}

/** Meets the other ranks that mpirun or srun started. */
export function joinRanks(): JoinedRanks {
  const mpi = loadMpi();
  const { rank, size, node } = mpi.join();
  const collective: Collective = {
    rank,
    size,
    node,
    gatherNumbers: async (own) => {
      const all = new Float64Array(own.length * size);
      await mpi.gatherNumbers(own, all);
      return all;
    },
    broadcast: (bytes, root) => mpi.broadcast(bytes, root),
    reduceSlices: (values, bounds, halved = false) => mpi.reduceSlices(values, bounds, halved),
    gatherSlices: (own, all, bounds, root = -1) => mpi.gatherSlices(own, all, bounds, root),
    addSlices: (own, all, bounds) => mpi.addSlices(own, all, bounds),
    sent: () => mpi.sent(),
  };
  return { collective, mpi };
}

/** @throws TritsmithError where these ranks cannot share this recipe, or its bits would depend on the machine */
export function assertShared(recipe: Recipe, { size }: Collective): void {
  if (recipe.shards !== undefined && recipe.threads === 0) throw new TritsmithError('bad-input', 'ranks.no-threads');
  assertRanksShare(recipe, size);
}

/**
 * Meets the other ranks with the job that the root was given.
 * @param spec null at the others
 * @returns the job, and where each rank runs
 * @throws TritsmithError `unsupported` at every rank, where one would compute otherwise than the root
 */
export async function meetForJob(
  collective: Collective,
  spec: JobSpec | null,
): Promise<{ spec: JobSpec; nodes: string[] }> {
  const shared = jobSpec.parse(await fromRoot(collective, spec));
  await assertSame(collective, await describeRank());
  return { spec: shared, nodes: await gatherTexts(collective, collective.node) };
}

/** Everything but recipe and rows that the bits of a rank depend on. */
export async function describeRank(): Promise<Record<string, string>> {
  const require = createRequire(import.meta.url);
  const versionOf = (path: string): string => (require(path) as { version: string }).version;
  return {
    tritsmith: versionOf('../../package.json'),
    node: process.version,
    'ONNX Runtime': versionOf('onnxruntime-node/package.json'),
    'the compiled kernels': await fileSha256(addonPath()),
    'the kernel of this processor': availableKernels()[0] ?? '',
    'instruction sets': instructionSets().join(' '),
  };
}

/** Those by which ONNX Runtime and our kernels choose how to compute. */
function instructionSets(): string[] {
  const telling = /^(avx\w*|amx_\w+|fma|f16c|sse4_\d|asimd\w*|sve\w*|i8mm|bf16)$/;
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
    return line
      .split(' ')
      .filter((name) => telling.test(name))
      .sort();
  } catch {
    return [];
  }
}

/** @throws TritsmithError `unsupported` at every rank, where one says something else than the root */
export async function assertSame(collective: Collective, own: Readonly<Record<string, string>>): Promise<void> {
  const texts = await gatherTexts(collective, JSON.stringify(own));
  const all = texts.map((text) => JSON.parse(text) as Record<string, string>);
  const root = all[0]!;
  const others = [...all.keys()].filter((rank) => texts[rank] !== texts[0]);
  if (others.length === 0) return;
  const first = all[others[0]!]!;
  const what = Object.keys(root)
    .filter((name) => root[name] !== first[name])
    .map((name) => `${name} (${shown(first[name])} instead of ${shown(root[name])})`);
  throw new TritsmithError('unsupported', 'ranks.differ', { ranks: others, what });
}

const longestShown = 80;

function shown(text = ''): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}...` : text;
}
