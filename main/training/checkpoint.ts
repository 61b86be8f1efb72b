/**
 * Training checkpoints: parameters, their moments and the trainer's own state. A checkpoint counts once its manifest, written
 * last, is there and its checksum fits; two generations are kept, so that a damaged one falls back to the one before.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { fileSha256 } from '../basics/file-digest.ts';
import { TritsmithError } from '../contract/errors.ts';
import { openSafetensors, type SafetensorsFile, writeSafetensors } from '../formats/safetensors/index.ts';
import type { ParameterBuffer, ParameterSpecification } from '../models/parameters.ts';
import { bytesOf } from './moments.ts';

const manifest = z.object({
  step: z.int().min(0),
  /** Beside the manifest: a manifest must not lead to another folder. */
  file: z.string().regex(/^step-\d{9}\.safetensors$/),
  sha256: z.string(),
  /** The rest of what the trainer needs to continue bit for bit. */
  state: z.object({
    gamma: z.number(),
    configuration: z.string(),
    /** What computed so far, where it was not the processor alone. */
    computedOn: z.array(z.string()).optional(),
    /** The best step so far, where it is kept, and how many looks since found nothing better. */
    best: z.object({ step: z.int(), score: z.number(), looks: z.int() }).optional(),
  }),
});
export type CheckpointState = z.infer<typeof manifest>['state'];

/** One kind of what a checkpoint holds, a tensor for each parameter. */
export interface StoredTensors {
  readonly specifications: readonly ParameterSpecification[];
  /** They are of bytes: four in each number of a view. */
  readonly bytes?: boolean;
  /** To be written, or to be filled. */
  view(name: string): Float32Array | Promise<Float32Array>;
  /** Told when a view was filled, where it is not the place itself. */
  filled?(name: string): void;
}

/** What a checkpoint holds, by prefix: the parameters, their moments, and what a rounded exchange carries over (`ExchangeRests`). */
export type TrainingBuffers = Readonly<Record<string, StoredTensors>>;

/** Kinds in the order in which a file has them, and in which `view` is called for them: numbers before bytes. */
export function inFileOrder(buffers: TrainingBuffers): [kind: string, tensors: StoredTensors][] {
  const kinds = Object.entries(buffers);
  return [false, true].flatMap((bytes) => kinds.filter(([, tensors]) => (tensors.bytes ?? false) === bytes));
}

const keptGenerations = 2;

function baseName(step: number): string {
  return `step-${String(step).padStart(9, '0')}`;
}

/** Files of checkpoints in a folder, newest first. */
async function checkpointFiles(folder: string): Promise<{ base: string; kind: string }[]> {
  try {
    const names = (await readdir(folder)).sort().reverse();
    return names.flatMap((name) => {
      const [, base, kind] = /^(step-\d{9})\.(json|safetensors)$/.exec(name) ?? [];
      return base === undefined ? [] : [{ base, kind: kind! }];
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readManifest(path: string): Promise<z.infer<typeof manifest>> {
  try {
    return manifest.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('it is missing: deleted, or the process ended before the checkpoint was complete', {
      cause: error,
    });
  }
}

/** Saves a checkpoint and removes the generations before the last, and what has no manifest. Returns the file's path. */
export async function saveCheckpoint(
  folder: string,
  step: number,
  buffers: TrainingBuffers,
  state: CheckpointState,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = `${baseName(step)}.safetensors`;
  const path = join(folder, file);
  await writeSafetensors(
    path,
    inFileOrder(buffers).flatMap(([kind, tensors]) =>
      tensors.specifications.map(({ name, shape }) => ({
        name: `${kind}.${name}`,
        dtype: tensors.bytes ? ('U8' as const) : ('F32' as const),
        shape,
        data: () => tensors.view(name),
      })),
    ),
    { step: String(step) },
  );
  const content = { step, file, sha256: await fileSha256(path), state } satisfies z.infer<typeof manifest>;
  await writeFileAtomically(join(folder, `${baseName(step)}.json`), `${JSON.stringify(content)}\n`);
  const files = await checkpointFiles(folder);
  // Later steps than this one are damaged or of another configuration.
  const manifests = files.filter(({ base, kind }) => kind === 'json' && base <= baseName(step));
  const kept = new Set(manifests.slice(0, keptGenerations).map(({ base }) => base));
  for (const { base, kind } of files.toReversed())
    if (!kept.has(base)) await rm(join(folder, `${base}.${kind}`), { force: true });
  return path;
}

function bestPath(folder: string, step: number): string {
  return join(folder, `best-${String(step).padStart(9, '0')}.safetensors`);
}

/** Keeps the parameters of a step that is the best so far, beside those of earlier ones: an earlier checkpoint may need them. */
export async function saveBest(folder: string, step: number, parameters: ParameterBuffer): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeSafetensors(
    bestPath(folder, step),
    parameters.specifications.map(({ name, shape }) => ({
      name,
      dtype: 'F32' as const,
      shape,
      data: () => parameters.view(name),
    })),
  );
}

/** Whether the parameters of a best step are there. */
export function hasBest(folder: string, step: number): boolean {
  return existsSync(bestPath(folder, step));
}

/** Fills `parameters` with those of a step that was kept as the best. */
export async function restoreBest(folder: string, step: number, parameters: ParameterBuffer): Promise<void> {
  const file = await openSafetensors(bestPath(folder, step));
  try {
    for (const { name } of parameters.specifications) await file.readFloat32(name, parameters.view(name));
  } finally {
    await file.close();
  }
}

/** Removes what was the best at other steps than these. */
export async function removeOtherBests(folder: string, steps: readonly number[]): Promise<void> {
  const kept = steps.map((step) => bestPath(folder, step));
  for (const name of await readdir(folder))
    if (/^best-\d{9}\.safetensors$/.test(name) && !kept.includes(join(folder, name)))
      await rm(join(folder, name), { force: true });
}

export interface RestoredCheckpoint {
  readonly found: { readonly step: number; readonly state: CheckpointState } | null;
  /** Which were not used and why. */
  readonly passedOver: readonly string[];
}

async function readBytes(file: SafetensorsFile, name: string, out: Uint8Array): Promise<void> {
  const bytes = await file.readBytes(name);
  const [count, expected] = [bytes.length, out.length];
  if (count !== expected)
    throw new TritsmithError('bad-input', 'tensor.count', { path: file.path, name, count, expected });
  out.set(bytes);
}

async function readBuffers(path: string, buffers: TrainingBuffers): Promise<void> {
  const file = await openSafetensors(path);
  try {
    for (const [kind, tensors] of Object.entries(buffers))
      for (const { name } of tensors.specifications) {
        const [stored, view] = [`${kind}.${name}`, await tensors.view(name)];
        if (tensors.bytes) await readBytes(file, stored, bytesOf(view));
        else await file.readFloat32(stored, view);
        tensors.filled?.(name);
      }
  } finally {
    await file.close();
  }
}

/** Fills the buffers from the checkpoint of a step that is known to be whole. */
export async function readCheckpoint(folder: string, step: number, buffers: TrainingBuffers): Promise<void> {
  await readBuffers(join(folder, `${baseName(step)}.safetensors`), buffers);
}

/**
 * Fills the buffers from the newest checkpoint that is whole.
 * @param configuration digest of everything that must be the same for a resume; a checkpoint of another run is not used
 * @param earlier digests that say the same, as earlier versions wrote them
 * @returns its step and state, or null when there is none; `passedOver` says which were not used and why
 */
export async function restoreCheckpoint(
  folder: string,
  buffers: TrainingBuffers,
  configuration: string,
  earlier: readonly string[] = [],
): Promise<RestoredCheckpoint> {
  const passedOver: string[] = [];
  for (const base of new Set((await checkpointFiles(folder)).map((file) => file.base))) {
    const name = `${base}.json`;
    try {
      const content = await readManifest(join(folder, name));
      if (![configuration, ...earlier].includes(content.state.configuration)) {
        passedOver.push(`A checkpoint was passed over, because settings or rows have changed since: ${name}`);
        continue;
      }
      const path = join(folder, content.file);
      if ((await fileSha256(path)) !== content.sha256) throw new Error('its checksum does not fit');
      await readBuffers(path, buffers);
      return { found: { step: content.step, state: content.state }, passedOver };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      passedOver.push(`A damaged checkpoint was passed over: ${name}: ${why}`);
    }
  }
  return { found: null, passedOver };
}
