/** Gathers a job's events and writes them to the database, in one transaction, and to the experiment's event file a few times a second. */
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { curveName } from '../../contract/metric-names.ts';
import type { LogLine } from '../../contract/views.ts';
import { databaseError } from '../workspace/database.ts';
import { noteDamage } from '../workspace/database-suspicion.ts';
import { EventFile, type MetricSample } from '../../experiment/event-file.ts';
import type { Workspace } from '../workspace/workspace.ts';

const flushMilliseconds = 250;

export interface RecordedStage {
  readonly kind: JobKind;
  readonly position: number;
  /** Time spent on it so far: written beside its progress, so that a workbench that is killed leaves it too. */
  readonly seconds: () => number;
}

export class EventRecorder {
  readonly #workspace: Workspace;
  readonly #experiment: string;
  readonly #stage: RecordedStage;
  readonly #onFailure: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #samples: MetricSample[] = [];
  #logs: LogLine[] = [];
  #progress: { done: number; total: number; unit: string } | null = null;
  #file: EventFile | null = null;
  #failed = false;

  /** `onFailure` hears once of a database that cannot be written (a full disk, say); what comes after that is kept for the next session. */
  constructor(workspace: Workspace, experiment: string, stage: RecordedStage, onFailure: (error: Error) => void) {
    this.#workspace = workspace;
    this.#experiment = experiment;
    this.#stage = stage;
    this.#onFailure = onFailure;
    const unwritten = workspace.unwritten.get(experiment);
    workspace.unwritten.delete(experiment);
    this.#samples = unwritten?.samples ?? [];
    this.#logs = unwritten?.logs ?? [];
    this.#timer = setInterval(() => {
      this.flush();
    }, flushMilliseconds);
  }

  record(event: JobEvent): void {
    if (event.type === 'progress') this.#progress = { done: event.done, total: event.total, unit: event.unit };
    else if (event.type === 'metrics')
      for (const [name, value] of Object.entries(event.values))
        this.#samples.push({ name: curveName(this.#stage.kind, name), step: event.step, value });
    else if (event.type === 'log')
      this.#logs.push({ stage: this.#stage.kind, time: Date.now(), level: event.level, text: event.text });
    else if (event.type === 'artifact')
      this.#guarded(() => {
        this.#workspace.experiments.putArtifact(this.#experiment, this.#stage.kind, event.artifact);
      });
    // A resume goes on behind the checkpoint: what led to it must be written by then.
    else if (event.type === 'checkpoint') this.flush();
  }

  flush(): void {
    if (this.#failed) return;
    const [samples, logs, progress] = [this.#samples, this.#logs, this.#progress];
    if (samples.length === 0 && logs.length === 0 && progress === null) return;
    this.#guarded(() => {
      this.#file ??= new EventFile(this.#workspace.experimentFolder(this.#experiment));
      this.#file.append(samples, logs);
      const { database, experiments, metrics } = this.#workspace;
      database.transaction(() => {
        if (progress !== null) {
          const { position, seconds } = this.#stage;
          experiments.setProgress(this.#experiment, position, { ...progress, seconds: seconds() });
        }
        for (const line of logs) experiments.addLog(this.#experiment, line);
        metrics.append(this.#experiment, samples);
      })();
      this.#samples = [];
      this.#logs = [];
      this.#progress = null;
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
    if (this.#failed) this.#workspace.unwritten.set(this.#experiment, { samples: this.#samples, logs: this.#logs });
    this.#file?.close();
    this.#file = null;
  }

  #guarded(work: () => void): void {
    if (this.#failed) return;
    try {
      work();
    } catch (thrown) {
      this.#failed = true;
      noteDamage(this.#workspace.paths.database, thrown);
      this.#onFailure(databaseError(thrown, this.#workspace.paths.database));
    }
  }
}
