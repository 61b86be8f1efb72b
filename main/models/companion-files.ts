/** The small files of a model folder beside its weights. Whoever made the folder made them: a pipe, a device or a huge file among them is refused. */
import { join } from 'node:path';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { type JsonObject, readBoundedFile, readJsonObject, readOptionalJsonObject } from '../basics/bounded-json.ts';

const largestFile = 256 * 1024 * 1024;
const largestSettings = 16 * 1024 * 1024;

/**
 * Copies a file of one model folder to another, durably.
 * @throws TritsmithError `bad-input` for what is no file or has more than 256 MB
 */
export async function copyCompanion(source: string, folder: string, name: string): Promise<void> {
  await writeFileAtomically(join(folder, name), await readBoundedFile(join(source, name), largestFile));
}

/**
 * Settings in a model folder: `config.json`, `generation_config.json`, `tokenizer_config.json`.
 * @throws TritsmithError `not-found`, `bad-input` (no file, more than 16 MB), `damaged` (no JSON object)
 */
export function readModelSettings(folder: string, name: string): Promise<JsonObject> {
  return readJsonObject(join(folder, name), largestSettings, 64);
}

/** As `readModelSettings`; null where the folder has no such file. */
export function readOptionalSettings(folder: string, name: string): Promise<JsonObject | null> {
  return readOptionalJsonObject(join(folder, name), largestSettings, 64);
}
