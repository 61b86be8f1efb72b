/** The whole application behind every shell that shows the interface: an open workspace and all that works in it. */
import { homedir } from 'node:os';
import type { ExperimentSummary } from '../contract/views.ts';
import type { SpawnPort } from '../jobs/spawn-port.ts';
import { emptyBin, readAnnotations } from './annotations.ts';
import { BenchmarkStore } from './benchmarks.ts';
import { readComparison } from './comparison.ts';
import { DraftStore, SettingsStore } from './drafts.ts';
import { EventHub } from './event-hub.ts';
import { ExperimentQueue } from './experiment-queue.ts';
import type { RunExperimentOptions } from './run-experiment.ts';
import { TeacherDownloads } from './teacher-downloads.ts';
import { SideJobs } from './side-jobs.ts';
import { openWorkspace } from './workspace.ts';
import type { Workspace } from './workspace.ts';

export interface ApplicationOptions {
  /** Default: the user's data folder. */
  readonly folder?: string;
  readonly shell: 'browser' | 'electron';
  /** Training jobs and questions about teachers and tasks. */
  readonly jobs: SpawnPort;
  /** Single rows and exported models. */
  readonly runtime: SpawnPort;
  /** Opens the file manager at a path; absent where there is none. */
  readonly reveal?: (path: string) => void;
  /** When a worker counts as silent; for tests. */
  readonly silence?: RunExperimentOptions['silence'];
}

export interface Application {
  readonly options: ApplicationOptions;
  readonly workspace: Workspace;
  readonly hub: EventHub;
  readonly queue: ExperimentQueue;
  readonly drafts: DraftStore;
  readonly settings: SettingsStore;
  readonly benchmarks: BenchmarkStore;
  readonly downloads: TeacherDownloads;
  readonly sideJobs: SideJobs;
  readonly home: string;
  /** Pauses what runs and what is being downloaded, then closes the workspace. */
  close(): Promise<void>;
}

/** Throws `locked` when another workbench holds the workspace, and what openWorkspace throws. */
export async function openApplication(options: ApplicationOptions): Promise<Application> {
  const workspace = await openWorkspace({
    ...(options.folder === undefined ? {} : { folder: options.folder }),
    mode: 'write',
    purpose: 'the workbench',
  });
  emptyBin(workspace);
  const hub = new EventHub();
  const queue = new ExperimentQueue(workspace, options.jobs, hub, options.silence);
  const downloads = new TeacherDownloads(workspace, options.jobs, hub);
  const sideJobs = new SideJobs(workspace, options.jobs, hub);
  return {
    options,
    workspace,
    hub,
    queue,
    drafts: new DraftStore(workspace.paths.folder),
    settings: new SettingsStore(workspace.paths.folder),
    benchmarks: new BenchmarkStore(workspace.paths.folder),
    downloads,
    sideJobs,
    home: homedir(),
    close: async () => {
      await Promise.all([queue.close(), downloads.close(), sideJobs.close()]);
      workspace.close();
    },
  };
}

/** The rows of the experiments table, newest first. */
export function summaries({ workspace, queue }: Application): ExperimentSummary[] {
  return workspace.experiments.list().flatMap((record) => {
    const { tags, notes, removed } = readAnnotations(workspace, record.id);
    if (removed) return [];
    const rows = readComparison(workspace, record)?.rows ?? [];
    const place = queue.waiting.indexOf(record.id);
    const weights = record.stages.reduce((sum, { weight }) => sum + weight, 0);
    const done = record.stages.reduce((sum, stage) => sum + stage.weight * shareDone(stage), 0);
    return [
      {
        id: record.id,
        name: record.name,
        state: record.state,
        queuePosition: place < 0 ? null : place,
        preset: record.recipe.preset,
        teacher: lastPart(record.recipe.teacher),
        task: record.recipe.task.name,
        created: record.created,
        ended: record.ended,
        seconds: record.stages.reduce((sum, { seconds }) => sum + seconds, 0),
        fraction: weights === 0 ? 0 : done / weights,
        scores: rows.map(({ name, accuracy }) => ({ name, value: accuracy })),
        studentFileBytes: rows.find(({ name }) => name === 'bitdistill')?.fileBytes ?? null,
        tags,
        notes,
      },
    ];
  });
}

function shareDone(stage: { state: string; done: number; total: number }): number {
  return stage.state === 'done' ? 1 : stage.total > 0 ? Math.min(1, stage.done / stage.total) : 0;
}

function lastPart(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== '') ?? path;
}
