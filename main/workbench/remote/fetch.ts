/** Brings an experiment home: every file by its SHA-256, and the folder with all of them or not at all. */
import { copyFileSync, existsSync, linkSync, mkdirSync, chmodSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { type PlacedFile, remoteExperiment, type SentRun } from '../../contract/remote.ts';
import { replayEvents } from '../../experiment/event-file.ts';
import { claimExperimentFolder, writeExperimentFile } from '../../experiment/record.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { ContentStore } from './content-store.ts';
import type { SentRuns } from './sent-runs.ts';
import { ask, withAgent } from './ssh.ts';

/**
 * Makes an experiment of this workspace of a run that has ended or paused; one that is not done can go on here, from the
 * beginning of the stage that was under way. What a broken connection brought is kept for
 * the next call. Paths in its recipe are those of this computer.
 * @throws TritsmithError; then the workspace has no new experiment
 */
export async function fetchRun(
  runs: SentRuns,
  workspace: Workspace,
  run: SentRun,
  onBytes: (came: number, total: number) => void = () => undefined,
): Promise<ExperimentRecord> {
  if (run.fetched !== null && workspace.experiments.has(run.fetched))
    throw new TritsmithError('bad-input', 'remote.fetched-before', { id: run.id, experiment: run.fetched });
  const { record: found, files } = await ask(run.place, { type: 'files', id: run.id }, remoteExperiment);
  const arrivals = new ContentStore(runs.arrivals(run.id));
  await bring(run, arrivals, files, onBytes);

  const { experiments } = workspace.paths;
  const draft = join(experiments, `.draft-${run.id}`);
  rmSync(draft, { recursive: true, force: true });
  const taken = new Set<string>();
  for (const { path, sha256 } of files) {
    const target = join(draft, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    place(arrivals.pathOf(sha256), target, taken.has(sha256));
    taken.add(sha256);
  }
  const id = claimExperimentFolder(experiments, run.name);
  const record: ExperimentRecord = { ...found, id, recipe: run.recipe };
  writeExperimentFile(draft, record);
  const folder = workspace.experimentFolder(id);
  // A folder may take the place of an empty one. From here on the workspace has it, whatever happens: it reads back what its database does not know.
  renameSync(draft, folder);
  workspace.database.transaction(() => {
    workspace.experiments.add(record);
    replayEvents(folder, (samples, logs) => {
      workspace.metrics.append(id, samples);
      for (const line of logs) workspace.experiments.addLog(id, line);
    });
  })();
  runs.came(run.id, id);
  rmSync(arrivals.folder, { recursive: true, force: true });
  return record;
}

async function bring(
  run: SentRun,
  arrivals: ContentStore,
  files: readonly PlacedFile[],
  onBytes: (came: number, total: number) => void,
): Promise<void> {
  const contents = new Map(files.map((file) => [file.sha256, file]));
  for (let attempt = 0; ; attempt++) {
    const wanted = [...contents.values()]
      .map((file) => ({ file, from: arrivals.present(file) }))
      .filter(({ file, from }) => from < file.bytes || !existsSync(arrivals.pathOf(file.sha256)));
    if (wanted.length === 0) return;
    const total = wanted.reduce((sum, { file, from }) => sum + file.bytes - from, 0);
    const request = {
      type: 'get' as const,
      id: run.id,
      files: wanted.map(({ file: { path, bytes }, from }) => ({ path, bytes, from })),
    };
    const damaged = await withAgent(run.place, request, async (agent) => {
      await agent.answer(z.object({}));
      let came = 0;
      const counted = async function* (pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const piece of pieces) {
          yield piece;
          came += piece.length;
          onBytes(came, total);
        }
      };
      const bad: string[] = [];
      for (const { file, from } of wanted)
        if ((await arrivals.take(file, from, counted(agent.bytes(file.bytes - from)))) === 'damaged')
          bad.push(file.path);
      return bad;
    });
    if (damaged.length > 0 && attempt > 0)
      throw new TritsmithError('damaged', 'remote.damaged-copy', { path: damaged[0]! });
  }
}

/** A second file of one content gets bytes of its own: either may be written to later. */
function place(from: string, to: string, again: boolean): void {
  try {
    if (again) copyFileSync(from, to);
    else linkSync(from, to);
  } catch (thrown) {
    if (again) throw TritsmithError.from(thrown);
    // A disk without hard links.
    copyFileSync(from, to);
  }
  chmodSync(to, 0o600);
}
