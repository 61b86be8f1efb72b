/**
 * Training checkpoints: parameters, both moments and the trainer's own state. A checkpoint counts once its manifest, written
 * last, is there and its checksum fits; two generations are kept, so that a damaged one falls back to the one before.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../formats/atomic-file.ts';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/index.ts';
import type { ParameterBuffer } from '../models/parameters.ts';

const manifest = z.object({
  step: z.int().min(0),
  /** Beside the manifest: a manifest must not lead to another folder. */
  file: z.string().regex(/^step-\d{9}\.safetensors$/),
  sha256: z.string(),
  /** What else the trainer must know to go on bit for bit. */
  state: z.object({ gamma: z.number(), configuration: z.string() }),
});
export type CheckpointState = z.infer<typeof manifest>['state'];

/** The buffers that a checkpoint holds, by prefix. */
export interface TrainingBuffers {
  readonly parameters: ParameterBuffer;
  readonly firstMoment: ParameterBuffer;
  readonly secondMoment: ParameterBuffer;
}

const kinds = ['parameters', 'firstMoment', 'secondMoment'] as const;
const keptGenerations = 2;

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function baseName(step: number): string {
  return `step-${String(step).padStart(9, '0')}`;
}

/** Manifests in a folder, newest first. */
async function generations(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => /^step-\d{9}\.json$/.test(name))
      .sort()
      .reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Saves a checkpoint and removes the generations before the last. Returns the file's path. */
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
    kinds.flatMap((kind) =>
      buffers[kind].specifications.map(({ name, shape }) => ({
        name: `${kind}.${name}`,
        dtype: 'F32' as const,
        shape,
        data: () => buffers[kind].view(name),
      })),
    ),
    { step: String(step) },
  );
  const content = { step, file, sha256: await sha256(path), state } satisfies z.infer<typeof manifest>;
  await writeFileAtomically(join(folder, `${baseName(step)}.json`), `${JSON.stringify(content)}\n`);
  for (const old of (await generations(folder)).slice(keptGenerations)) {
    await rm(join(folder, old), { force: true });
    await rm(join(folder, old.replace(/json$/, 'safetensors')), { force: true });
  }
  return path;
}

/**
 * Fills the buffers from the newest checkpoint that is whole.
 * @param configuration digest of everything that must be the same for a resume; a checkpoint of another run is not used
 * @returns its step and state, or null when there is none; `damaged` names those that were passed over
 */
export async function restoreCheckpoint(
  folder: string,
  buffers: TrainingBuffers,
  configuration: string,
): Promise<{ found: { step: number; state: CheckpointState } | null; damaged: string[] }> {
  const damaged: string[] = [];
  for (const name of await generations(folder)) {
    try {
      const content = manifest.parse(JSON.parse(await readFile(join(folder, name), 'utf8')));
      if (content.state.configuration !== configuration) continue;
      const path = join(folder, content.file);
      if ((await sha256(path)) !== content.sha256) throw new Error('its checksum does not fit');
      const file = await openSafetensors(path);
      try {
        for (const kind of kinds)
          for (const { name: parameter } of buffers[kind].specifications)
            await file.readFloat32(`${kind}.${parameter}`, buffers[kind].view(parameter));
      } finally {
        await file.close();
      }
      return { found: { step: content.step, state: content.state }, damaged };
    } catch (error) {
      damaged.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { found: null, damaged };
}
