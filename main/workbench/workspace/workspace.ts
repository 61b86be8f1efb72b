/** An open workspace: folder, lock, database and what is stored in it. */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { TritsmithError } from '../../contract/errors.ts';
import { bytesInWords } from '../../contract/quantities.ts';
import type { LogLine } from '../../contract/views.ts';
import { databaseError, openDatabase, openDatabaseReadOnly, type Sqlite } from './database.ts';
import { type MetricSample, replayEvents } from '../../experiment/event-file.ts';
import { readExperimentFiles, writeExperimentFile } from '../../experiment/record.ts';
import { ExperimentStore } from '../experiments/experiment-store.ts';
import { MetricStore } from './metric-store.ts';
import { sweepWorkspace } from './sweep-drafts.ts';
import { TeacherLibrary } from '../teachers/teacher-library.ts';
import {
  defaultWorkspaceFolder,
  freeBytes,
  keepReserve,
  prepareWorkspace,
  scarceBytes,
  type WorkspacePaths,
} from './workspace-folder.ts';
import { isHolder, lockedBy, tryLock, type WorkspaceLock } from './workspace-lock.ts';

export interface Workspace {
  readonly paths: WorkspacePaths;
  readonly readOnly: boolean;
  readonly database: Sqlite;
  readonly experiments: ExperimentStore;
  readonly metrics: MetricStore;
  readonly teachers: TeacherLibrary;
  /** Experiments that were found running, although their workbench is gone. */
  readonly interrupted: readonly string[];
  /** What else happened while opening that the user should know. */
  readonly notices: readonly string[];
  /** Curves and logs of this session that a full disk did not take, by experiment. */
  readonly unwritten: Map<string, { samples: MetricSample[]; logs: LogLine[] }>;
  experimentFolder(id: string): string;
  close(): void;
}

export interface OpenOptions {
  /** Default: the user's data folder. */
  readonly folder?: string;
  /** `read` looks on beside a workbench that holds the workspace; `write` needs it alone. */
  readonly mode: 'read' | 'write';
  /** Said to a second workbench. */
  readonly purpose: string;
  /** How long `write` waits for the holder to finish; default 2000. */
  readonly waitMilliseconds?: number;
}

/** Opens the workspace. Throws `locked`, `not-writable`, `no-space` or `unsupported`; a damaged database is set aside and rebuilt. */
export async function openWorkspace(options: OpenOptions): Promise<Workspace> {
  const paths = prepareWorkspace(options.folder ?? defaultWorkspaceFolder());
  const deadline = performance.now() + (options.waitMilliseconds ?? 2000);
  for (;;) {
    const lock = tryLock(paths.lock, options.purpose);
    if (!isHolder(lock)) return openHeld(paths, lock);
    if (options.mode === 'read')
      return assemble(
        paths,
        openDatabaseReadOnly(paths.database),
        true,
        { notices: [], interrupted: [] },
        () => undefined,
      );
    if (performance.now() >= deadline) throw lockedBy(paths.folder, paths.lock, lock);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function openHeld(paths: WorkspacePaths, lock: WorkspaceLock): Workspace {
  try {
    sweepWorkspace(paths);
    const { database, keptAside, keptBefore } = openDatabase(paths.database, lock.tookOverFrom !== null);
    const notices: string[] = [];
    const interrupted: string[] = [];
    const workspace = assemble(paths, database, false, { notices, interrupted }, () => {
      lock.release();
    });
    try {
      if (keptAside !== null)
        notices.push(
          `The database was damaged. It is kept as ${keptAside}; experiments, curves, logs and teachers are rebuilt from the files in the workspace.`,
        );
      if (keptBefore !== null)
        notices.push(
          `The workspace was made by an older version. Its database was brought to this one; as it was before, it is kept as ${keptBefore}.`,
        );
      keepReserve(paths);
      const free = freeBytes(paths.folder);
      if (free < scarceBytes)
        notices.push(
          `The disk is full: ${bytesInWords(free)} are free where the workspace lies (${paths.folder}). Nothing can be trained, exported or downloaded until there is room. Free some space on that disk, or remove experiments here that are no longer needed, and start again: what was removed is then deleted.`,
        );
      notices.push(...rebuild(workspace));
      interrupted.push(...settleInterrupted(workspace));
    } catch (error) {
      database.close();
      throw error;
    }
    return workspace;
  } catch (error) {
    lock.release();
    throw databaseError(error);
  }
}

function assemble(
  paths: WorkspacePaths,
  database: Sqlite,
  readOnly: boolean,
  found: Pick<Workspace, 'notices' | 'interrupted'>,
  release: () => void,
): Workspace {
  let open = true;
  return {
    paths,
    readOnly,
    database,
    ...found,
    experiments: new ExperimentStore(database),
    metrics: new MetricStore(database),
    teachers: new TeacherLibrary(database, paths.teachers),
    unwritten: new Map(),
    experimentFolder: (id) => join(paths.experiments, plainName(id)),
    close: () => {
      if (!open) return;
      open = false;
      database.close();
      release();
    },
  };
}

/** An id that is no plain name could lead out of the workspace; no experiment has such a one. */
function plainName(id: string): string {
  if (/^[\w-]+$/.test(id)) return id;
  throw new TritsmithError('not-found', 'experiment.none', { reference: id.slice(0, 100) });
}

/** Adds what the workspace's files hold and the database does not know: after damage, or when its file was lost. */
function rebuild(workspace: Workspace): string[] {
  const { records, unreadable } = readExperimentFiles(workspace.paths.experiments, (id) =>
    workspace.experiments.has(id),
  );
  workspace.teachers.restore();
  for (const record of records) {
    workspace.experiments.add(record);
    replayEvents(workspace.experimentFolder(record.id), (samples, logs) => {
      workspace.database.transaction(() => {
        workspace.metrics.append(record.id, samples);
        for (const line of logs) workspace.experiments.addLog(record.id, line);
      })();
    });
  }
  return [
    ...(records.length > 0 ? [`Read ${String(records.length)} experiment(s) back from their folders.`] : []),
    ...unreadable.map((path) => `${path} cannot be read and is left as it is.`),
  ];
}

/** We hold the lock, so whatever says `running` is not. */
function settleInterrupted(workspace: Workspace): string[] {
  const ids = workspace.experiments.markInterrupted();
  for (const id of ids) writeExperimentFile(workspace.experimentFolder(id), workspace.experiments.get(id));
  return ids;
}
