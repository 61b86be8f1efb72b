/** The small files of a model beside its weights. Whoever made the folder made them: a pipe, a device or a huge file among them is refused. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { companionFiles } from '../contract/companion-files.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { type JsonObject, readBoundedFile, readJsonObject, readOptionalJsonObject } from '../basics/bounded-json.ts';

const largestFile = 256 * 1024 * 1024;
const largestSettings = 16 * 1024 * 1024;

/** Tokenizer, settings and licence of a model, by file name. */
export interface Companions {
  /** Names of the files that there are, and of others of the folder. */
  readonly names: ReadonlySet<string>;
  /** @throws TritsmithError `not-found`, `bad-input` for what is no file or has more than 256 MB */
  bytes(name: string): Promise<Uint8Array>;
  /** As `readModelSettings`. */
  settings(name: string): Promise<JsonObject>;
  /** Bytes of those that travel with a model (contract/companion-files.ts); of a GGUF file what its header has. */
  readonly travelling: number;
}

export async function folderCompanions(folder: string): Promise<Companions> {
  const names = new Set(await readdir(folder));
  const sizes = companionFiles.map(async (name) => (names.has(name) ? (await stat(join(folder, name))).size : 0));
  return {
    names,
    travelling: (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0),
    bytes: (name) => readBoundedFile(join(folder, name), largestFile),
    settings: (name) => readModelSettings(folder, name),
  };
}

/** Writes one of a model's files into a folder, durably. @throws TritsmithError as `Companions.bytes` */
export async function copyCompanion(source: Companions, folder: string, name: string): Promise<void> {
  await writeFileAtomically(join(folder, name), await source.bytes(name));
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
