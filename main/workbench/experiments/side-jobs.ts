/** Runs jobs on finished experiments beside their stages, one for each experiment at a time. A failure leaves the experiment as it was. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobEvent, JobSpec } from '../../contract/jobs.ts';
import type { ExportSettings, Recipe } from '../../contract/recipe.ts';
import type { SideJob, SideTask } from '../../contract/side-jobs.ts';
import { runInWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import type { EventHub } from '../interface/event-hub.ts';
import { writeExperimentFile } from '../../experiment/record.ts';
import type { Workspace } from '../workspace/workspace.ts';

const tellMilliseconds = 200;

interface Entry {
  job: SideJob;
  readonly stop: StopSignal;
  readonly ended: Promise<void>;
}

export class SideJobs {
  readonly #workspace: Workspace;
  readonly #port: SpawnPort;
  readonly #hub: EventHub;
  readonly #entries = new Map<string, Entry>();

  constructor(workspace: Workspace, port: SpawnPort, hub: EventHub) {
    this.#workspace = workspace;
    this.#port = port;
    this.#hub = hub;
  }

  /** What was started last for this experiment since the workbench opened. */
  get(id: string): SideJob | null {
    return this.#entries.get(id)?.job ?? null;
  }

  /** Throws `bad-input` while the experiment is unfinished or another job of it is under way. */
  start(id: string, task: SideTask): SideJob {
    const record = this.#workspace.experiments.get(id);
    if (record.state !== 'done') throw new TritsmithError('bad-input', 'experiment.unfinished', { name: record.name });
    if (this.get(id)?.state === 'running') throw new TritsmithError('bad-input', 'side-job.another');
    const stop = new StopSignal();
    const job: SideJob = { experiment: id, task, state: 'running', done: 0, total: 1, note: null, problem: null };
    const entry: Entry = { job, stop, ended: Promise.resolve().then(() => this.#run(record, entry)) };
    this.#entries.set(id, entry);
    this.#tell(entry);
    return job;
  }

  cancel(id: string): void {
    this.#entries.get(id)?.stop.ask('cancel');
  }

  /** Cancels what runs and waits for its end. */
  async close(): Promise<void> {
    for (const { stop } of this.#entries.values()) stop.ask('cancel');
    await Promise.all([...this.#entries.values()].map(({ ended }) => ended));
  }

  async #run(record: ExperimentRecord, entry: Entry): Promise<void> {
    const { id } = record;
    const spec = specOf(record, entry.job.task, this.#workspace.experimentFolder(id));
    const change = (part: Partial<SideJob>): void => {
      entry.job = { ...entry.job, ...part };
    };
    const timer = setInterval(() => {
      this.#tell(entry);
    }, tellMilliseconds);
    try {
      const outcome = await runInWorker(this.#port, spec, {
        signal: entry.stop,
        onEvent: (event) => {
          if (event.type === 'progress') change({ done: event.done, total: event.total, note: event.note ?? null });
          else this.#keep(id, spec, event);
        },
      });
      if (outcome.state === 'done') this.#workspace.experiments.setRecipe(id, spec.recipe);
      if (outcome.state === 'done') change(endOf(outcome.result));
      else change({ state: 'cancelled' });
    } catch (thrown) {
      change({ state: 'failed', problem: TritsmithError.from(thrown).serialise() });
    } finally {
      clearInterval(timer);
    }
    writeExperimentFile(this.#workspace.experimentFolder(id), this.#workspace.experiments.get(id));
    this.#tell(entry);
    this.#hub.say({ type: 'list' });
  }

  #keep(id: string, { kind }: JobSpec, event: JobEvent): void {
    const { experiments } = this.#workspace;
    if (event.type === 'artifact') experiments.putArtifact(id, kind, event.artifact);
    else if (event.type === 'log')
      experiments.addLog(id, { stage: kind, time: Date.now(), level: event.level, text: event.text });
  }

  #tell({ job }: Entry): void {
    this.#hub.say({ type: 'side-job', job });
  }
}

/** A comparison that was not possible is told as a failure of the side job. */
function endOf(result: JobResults['four-bit' | 'export']): Pick<SideJob, 'state' | 'problem'> {
  if (!('compared' in result) || result.compared) return { state: 'done', problem: null };
  return { state: 'failed', problem: result.problem };
}

function specOf({ recipe }: ExperimentRecord, task: SideTask, folder: string): JobSpec & { kind: SideTask['kind'] } {
  if (task.kind === 'four-bit') return { kind: 'four-bit', recipe, folder };
  return { kind: 'export', recipe: withExport(recipe, task.settings), folder, exports: [task.settings] };
}

/** The recipe that also asks for `settings`, after what it asked for before. */
function withExport(recipe: Recipe, settings: ExportSettings): Recipe {
  return { ...recipe, exports: [...recipe.exports.filter((each) => !sameExport(each, settings)), settings] };
}

function sameExport(a: ExportSettings, b: ExportSettings): boolean {
  return (
    a.type === b.type && a.embedding === b.embedding && (a.pruneVocabulary ?? false) === (b.pruneVocabulary ?? false)
  );
}
