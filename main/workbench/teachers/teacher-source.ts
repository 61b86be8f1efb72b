/** A model of the Hub as a teacher of this workspace: where it lies, what it would need, and its entry in the library. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { type HubModelCard, hubPartsOf, type HubPlan } from '../../contract/hub.ts';
import type { TeacherCard } from '../../contract/queries.ts';
import type { ResourceEstimate } from '../../contract/resources.ts';
import { downloadModel, type DownloadOptions } from '../../hub/download.ts';
import type { HubClient } from '../../hub/hub-client.ts';
import { describeModel } from '../../hub/hub-models.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { memoryNeed } from '../machine/estimates.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** What a disk should keep free besides. */
const spareBytes = 200e6;
const tokenizerFiles = [['tokenizer.json'], ['vocab.json', 'merges.txt'], ['tokenizer.model']];

/** Folder of the downloaded teachers; made when it is missing. */
export function downloadsFolder(workspace: string): string {
  const folder = join(workspace, 'teachers');
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** `owner/name`, or `owner/name/file.gguf`, as a folder's name; none of them has a `--` within. */
export function downloadTarget(workspace: string, id: string): string {
  return join(downloadsFolder(workspace), id.replaceAll('/', '--'));
}

/** Where the model of a download lies: its folder, or its GGUF file. */
function modelPath(workspace: string, id: string): string {
  return join(downloadTarget(workspace, id), hubPartsOf(id).file ?? '');
}

/** Asks the Hub about `id` and says what it would be here. Throws as `describeModel` does. */
export async function foreseeDownload(
  client: HubClient,
  id: string,
  workspace: string,
  port: SpawnPort,
  signal?: AbortSignal,
): Promise<HubModelCard> {
  const { plan, gated, licence, configuration, weightTypes, original, gguf } = await describeModel(client, id, signal);
  const sizes = new Map(plan.files.map(({ name, bytes }) => [name, bytes]));
  const weights = plan.files.filter(({ name }) => /\.(safetensors|gguf)$/.test(name));
  const tokenizer = tokenizerFiles.find((names) => names.every((name) => sizes.has(name))) ?? [];
  const { card: teacher, memory } = await askWorker(port, {
    type: 'foresee-teacher',
    model: {
      folder: modelPath(workspace, plan.id),
      configuration,
      gguf,
      licence,
      weightBytes: weights.reduce((sum, { bytes }) => sum + bytes, 0),
      weightFiles: weights.length,
      tokenizerBytes: tokenizer.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0),
      weightTypes: [...weightTypes],
      original,
    },
  });
  return { plan, gated, gguf, teacher, disk: diskFor(plan, workspace, 0), memory: memoryNeed(memory ?? []) };
}

/** Fetches the files of `plan`, reads the model and remembers it. Throws as `downloadModel` does; `unsupported` for a model that turns out unusable. */
export async function fetchTeacher(
  client: HubClient,
  plan: HubPlan,
  workspace: Workspace,
  port: SpawnPort,
  options: DownloadOptions & { doneBytes?: number },
): Promise<TeacherCard> {
  const target = downloadTarget(workspace.paths.folder, plan.id);
  if (!existsSync(target)) {
    const disk = diskFor(plan, workspace.paths.folder, options.doneBytes ?? 0);
    if (!disk.fits)
      throw new TritsmithError('no-space', 'download.no-space', {
        model: plan.id,
        needed: disk.needed,
        free: disk.available,
      });
    await downloadModel(client, plan, target, options);
  }
  const card = await askWorker(port, { type: 'inspect-teacher', folder: modelPath(workspace.paths.folder, plan.id) });
  if (!card.supported)
    throw new TritsmithError('unsupported', 'teacher.fetched-but-unusable', {
      model: plan.id,
      problem: card.problem,
      folder: target,
    });
  workspace.teachers.put(plan.id, card);
  return card;
}

function diskFor(plan: HubPlan, workspace: string, doneBytes: number): ResourceEstimate {
  const { bavail, bsize } = statfsSync(workspace);
  const needed = Math.max(0, plan.bytes - doneBytes);
  return {
    needed,
    available: bavail * bsize,
    fits: needed + spareBytes <= bavail * bsize,
    terms: [{ id: 'download', bytes: needed, params: { files: plan.files.length } }],
  };
}
