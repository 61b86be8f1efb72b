/** `experiment.json` beside the artifacts: enough to rebuild the database, and to understand the folder without it. */
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { experimentRecord, type ExperimentRecord } from '../../contract/experiments.ts';
import { writeJsonAtomically } from '../workspace/atomic-json.ts';

const fileName = 'experiment.json';

/** Makes the folder again where someone deleted it: its stages are then found undone, and a resumed run starts over. */
export function writeExperimentFile(folder: string, record: ExperimentRecord): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeJsonAtomically(join(folder, fileName), record);
}

/** Reads the folders of experiments that are not `known`. A file that cannot be read is named in `unreadable` and left as it is. */
export function readExperimentFiles(
  experiments: string,
  known: (id: string) => boolean,
): { records: ExperimentRecord[]; unreadable: string[] } {
  const records: ExperimentRecord[] = [];
  const unreadable: string[] = [];
  for (const entry of readdirSync(experiments, { withFileTypes: true })) {
    const path = join(experiments, entry.name, fileName);
    if (!entry.isDirectory() || known(entry.name) || !existsSync(path)) continue;
    try {
      const record = experimentRecord.parse(JSON.parse(readFileSync(path, 'utf8')));
      if (record.id === entry.name) records.push(record);
      else unreadable.push(path);
    } catch {
      unreadable.push(path);
    }
  }
  return { records, unreadable };
}

/** Creates the folder of a new experiment and returns its id: the name in plain letters and the first free number. */
export function claimExperimentFolder(experiments: string, name: string): string {
  const plain = name
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 60);
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
