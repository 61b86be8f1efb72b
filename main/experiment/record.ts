/** An experiment's record beside its artifacts: enough to rebuild the database, and to understand the folder without it. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TritsmithError } from '../contract/errors.ts';
import { experimentRecord, type ExperimentRecord } from '../contract/experiments.ts';
import { readJson, readJsonIfWhole, writeJsonAtomically } from '../basics/json-file.ts';
import { recordPath } from './folder.ts';

/** Makes the folder again where someone deleted it: its stages are then found undone, and a resumed run starts over. */
export function writeExperimentFile(folder: string, record: ExperimentRecord): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeJsonAtomically(recordPath(folder), record);
}

/** @throws TritsmithError `not-found`, `damaged` */
export function readExperimentFile(folder: string): ExperimentRecord {
  const record = readJson(recordPath(folder), experimentRecord);
  if (record === null) throw new TritsmithError('not-found', 'experiment.none-in-folder', { folder });
  return record;
}

/** Reads the folders of experiments that are not `known`. A file that cannot be read is named in `unreadable` and left as it is. */
export function readExperimentFiles(
  experiments: string,
  known: (id: string) => boolean,
): { records: ExperimentRecord[]; unreadable: string[] } {
  const records: ExperimentRecord[] = [];
  const unreadable: string[] = [];
  for (const entry of readdirSync(experiments, { withFileTypes: true })) {
    const path = recordPath(join(experiments, entry.name));
    if (!entry.isDirectory() || known(entry.name) || !existsSync(path)) continue;
    const record = readJsonIfWhole(path, experimentRecord);
    if (record?.id === entry.name) records.push(record);
    else unreadable.push(path);
  }
  return { records, unreadable };
}

/** `name` in plain letters, digits and hyphens, letters without their accents; empty where none is left. */
export function plainLetters(name: string, most: number): string {
  return name
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, most)
    .replaceAll(/^-+|-+$/g, '');
}

/** Creates the folder of a new experiment and returns its id: the name in plain letters and the first free number. */
export function claimExperimentFolder(experiments: string, name: string): string {
  const plain = plainLetters(name, 60);
  for (let number = 1; number < 100_000; number++) {
    const id = `${plain === '' ? 'experiment' : plain}-${String(number)}`;
    try {
      mkdirSync(join(experiments, id), { mode: 0o700 });
      return id;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw TritsmithError.from(error);
    }
  }
  throw new TritsmithError('internal', 'experiment.no-folder-name', { name, folder: experiments });
}
