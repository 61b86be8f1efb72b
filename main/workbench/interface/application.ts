/** The whole application behind every shell that shows the interface: an open workspace and all that works in it. */
import { homeFolder } from '../../contract/data-folder.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { emptyBin } from '../experiments/annotations.ts';
import { sweepAddedRows } from '../experiments/train-again.ts';
import { BenchmarkStore } from '../results/benchmarks.ts';
import { DraftStore } from './drafts.ts';
import { SettingsStore } from './settings.ts';
import { EventHub } from './event-hub.ts';
import { ExperimentQueue } from '../experiments/experiment-queue.ts';
import type { RunExperimentOptions } from '../experiments/run-experiment.ts';
import { TeacherDownloads } from '../teachers/teacher-downloads.ts';
import { SideJobs } from '../experiments/side-jobs.ts';
import { servingPort } from '../../jobs/serving-port.ts';
import { ServedModels } from '../serving/served-models.ts';
import { RunsElsewhere } from '../remote/runs-elsewhere.ts';
import { Summaries } from '../results/summaries.ts';
import { pathAccess, type PathAccess, type PathPolicy } from './path-access.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';

export interface ApplicationOptions {
  /** Default: the user's data folder. */
  readonly folder?: string;
  readonly shell: 'browser' | 'electron';
  /** Training jobs, and what measures or writes for them. */
  readonly jobs: SpawnPort;
  /** Questions about teachers and tasks; default: as `jobs`. */
  readonly questions?: SpawnPort;
  /** Single rows and exported models. */
  readonly runtime: SpawnPort;
  /** Which files of this machine the interface may have read. */
  readonly paths: PathPolicy;
  /** Opens the file manager at a path; absent where there is none. */
  readonly reveal?: (path: string) => void;
  /** When a worker counts as silent; for tests. */
  readonly silence?: RunExperimentOptions['silence'];
}

export interface Application {
  readonly options: ApplicationOptions & Required<Pick<ApplicationOptions, 'questions'>>;
  readonly workspace: Workspace;
  readonly hub: EventHub;
  readonly queue: ExperimentQueue;
  readonly summaries: Summaries;
  readonly drafts: DraftStore;
  readonly settings: SettingsStore;
  readonly benchmarks: BenchmarkStore;
  readonly downloads: TeacherDownloads;
  readonly sideJobs: SideJobs;
  readonly served: ServedModels;
  readonly elsewhere: RunsElsewhere;
  readonly paths: PathAccess;
  /** Where folder lists begin. */
  readonly home: string;
  /** Pauses what runs and what is being downloaded, ends servers, then closes the workspace. */
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
  sweepAddedRows(workspace);
  const hub = new EventHub();
  const queue = new ExperimentQueue(workspace, options.jobs, hub, options.silence);
  const settings = new SettingsStore(workspace.paths.folder);
  const downloads = new TeacherDownloads(workspace, options.jobs, hub, () => settings.read().proxy);
  const sideJobs = new SideJobs(workspace, options.jobs, hub);
  const served = new ServedModels(workspace, servingPort, hub);
  const summaries = new Summaries(workspace, queue);
  // A file that cannot be read now is reported when somebody asks for it.
  summaries.warm().catch(() => undefined);
  return {
    options: { ...options, questions: options.questions ?? options.jobs },
    workspace,
    hub,
    queue,
    summaries,
    drafts: new DraftStore(workspace.paths.folder),
    settings,
    benchmarks: new BenchmarkStore(workspace.paths.folder),
    downloads,
    sideJobs,
    served,
    elsewhere: new RunsElsewhere(workspace, hub),
    paths: pathAccess(options.paths, workspace),
    home: options.paths.kind === 'granted' ? workspace.paths.folder : homeFolder(),
    close: async () => {
      await Promise.all([queue.close(), downloads.close(), sideJobs.close(), served.close()]);
      workspace.close();
    },
  };
}
