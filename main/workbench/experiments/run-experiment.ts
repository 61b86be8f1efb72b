/** Runs an experiment: its planned jobs in worker processes one after another, with every state written down as it changes. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentEvent, ExperimentRecord, ExperimentState, StageRecord } from '../../contract/experiments.ts';
import { type JobEvent, type JobKind, jobsOfRanks } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { askWorker, type JobOutcome, runInWorker } from '../../jobs/host.ts';
import type { SilenceOptions } from '../../jobs/silence.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import { databaseError } from '../workspace/database.ts';
import { EtaEstimator } from './eta-estimator.ts';
import { EventRecorder } from './event-recorder.ts';
import { checkpointFolder } from '../../experiment/folder.ts';
import { claimExperimentFolder, writeExperimentFile } from '../../experiment/record.ts';
import { removeWorkerNote } from '../../experiment/worker-note.ts';
import { knownTaskSize } from '../machine/estimates.ts';
import { describeMachine, programVersions } from '../machine/machine.ts';
import { clearOrphan, noteWorker } from './orphan-worker.ts';
import { assertInputsExist, parseRecipe } from './recipe-inputs.ts';
import { sweepDrafts } from '../workspace/sweep-drafts.ts';
import type { Workspace } from '../workspace/workspace.ts';

export interface RunExperimentOptions {
  readonly port: SpawnPort;
  /** Starts the workers of jobs that ranks share (`jobsOfRanks`) as several processes; absent: one, as for every other job. */
  readonly ranks?: SpawnPort;
  onEvent?(event: ExperimentEvent): void;
  readonly signal?: StopSignal;
  /** Run these stages again although they are done (evaluate, export). */
  readonly again?: readonly JobKind[];
  /** When a worker counts as silent. */
  readonly silence?: Pick<SilenceOptions, 'silentAfterMinutes' | 'heartbeatSeconds'>;
}

/** Plans and stores a new experiment without running it. Throws before anything is created when the recipe or its inputs are wrong. */
export async function createExperiment(
  workspace: Workspace,
  recipe: Recipe,
  port: SpawnPort,
): Promise<ExperimentRecord> {
  const checked = parseRecipe(recipe);
  assertInputsExist(checked);
  const plan = await askWorker(port, { type: 'plan-jobs', recipe: checked, size: await knownTaskSize(checked) });
  const id = claimExperimentFolder(workspace.paths.experiments, checked.name);
  const record: ExperimentRecord = {
    id,
    name: checked.name,
    state: 'created',
    recipe: checked,
    seed: checked.seed,
    created: Date.now(),
    started: null,
    ended: null,
    machine: describeMachine(),
    versions: programVersions(),
    error: null,
    stages: plan.map(({ kind, weight }, position) => pendingStage(position, kind, weight)),
    artifacts: [],
  };
  workspace.experiments.add(record);
  writeExperimentFile(workspace.experimentFolder(id), record);
  return record;
}

/**
 * Runs a new experiment (a recipe) or goes on with one (its id). Returns its record when it is done, paused or cancelled; the state
 * says which. Throws the error of a stage that failed, after writing it down. Stages that are done are not repeated,
 * unless their artifacts are gone.
 */
export async function runExperiment(
  workspace: Workspace,
  what: Recipe | string,
  options: RunExperimentOptions,
): Promise<ExperimentRecord> {
  const record =
    typeof what === 'string' ? workspace.experiments.get(what) : await createExperiment(workspace, what, options.port);
  assertInputsExist(record.recipe);
  return new ExperimentRun(workspace, record.id, options).run();
}

function pendingStage(position: number, kind: JobKind, weight: number): StageRecord {
  return {
    position,
    kind,
    weight,
    state: 'pending',
    done: 0,
    total: 0,
    unit: '',
    started: null,
    ended: null,
    seconds: 0,
    error: null,
    result: null,
  };
}

/** One session of one experiment. */
class ExperimentRun {
  readonly #workspace: Workspace;
  readonly #id: string;
  readonly #folder: string;
  readonly #options: RunExperimentOptions;
  readonly #stop = new StopSignal();
  #storeError: Error | null = null;

  constructor(workspace: Workspace, id: string, options: RunExperimentOptions) {
    this.#workspace = workspace;
    this.#id = id;
    this.#folder = workspace.experimentFolder(id);
    this.#options = options;
  }

  async run(): Promise<ExperimentRecord> {
    const unsubscribe = this.#options.signal?.subscribe((request) => {
      this.#stop.ask(request);
    });
    try {
      writeExperimentFile(this.#folder, this.#record());
      await clearOrphan(this.#folder);
      sweepDrafts(this.#folder);
      this.#warnOfOtherVersions();
      this.#reopenStages();
      if (this.#record().stages.every((stage) => stage.state === 'done') && this.#record().state === 'done')
        return this.#record();
      this.#setState('running');
      return await this.#runStages();
    } catch (thrown) {
      throw databaseError(thrown, this.#workspace.paths.database);
    } finally {
      unsubscribe?.();
    }
  }

  async #runStages(): Promise<ExperimentRecord> {
    const { stages } = this.#record();
    const eta = new EtaEstimator(stages.map(({ weight, state }) => ({ weight, finished: state === 'done' })));
    for (const stage of stages) {
      if (stage.state === 'done') continue;
      if (this.#stop.request !== null) return this.#setState(this.#stop.request === 'pause' ? 'paused' : 'cancelled');
      let outcome: JobOutcome;
      try {
        outcome = await this.#runStage(stage, eta);
      } catch (thrown) {
        const error = databaseError(this.#storeError ?? thrown, this.#workspace.paths.database);
        this.#writeDown(() => this.#setState('failed', error));
        throw error;
      }
      if (outcome.state !== 'done') return this.#setState(outcome.state);
      eta.finish(stage.position);
    }
    return this.#setState('done');
  }

  async #runStage(stage: StageRecord, eta: EtaEstimator): Promise<JobOutcome> {
    const started = performance.now();
    let lost = 0;
    const { recipe } = this.#record();
    const seconds = (): number => stage.seconds + Math.max(0, (performance.now() - started) / 1000 - lost);
    const { kind, position } = stage;
    const recorder = new EventRecorder(this.#workspace, this.#id, { kind, position, seconds }, (error) => {
      this.#storeError = error;
      this.#stop.ask('pause');
    });
    const end = (changes: Partial<StageRecord>): void => {
      recorder.close();
      const stored = this.#record().stages[stage.position] ?? stage;
      // A job that skips or bundles units need not count to its total.
      const now = changes.state === 'done' ? { ...stored, done: stored.total } : stored;
      this.#setStage({ ...now, ended: Date.now(), seconds: seconds(), ...changes });
    };
    this.#setStage({ ...stage, state: 'running', started: stage.started ?? Date.now(), ended: null, error: null });
    try {
      const { port, ranks = port } = this.#options;
      const outcome = await runInWorker(
        jobsOfRanks.includes(kind) ? ranks : port,
        { kind: stage.kind, recipe, folder: this.#folder },
        {
          signal: this.#stop,
          onStart: (pid) => {
            if (pid !== undefined) noteWorker(this.#folder, pid);
          },
          onEvent: (event) => {
            recorder.record(event);
            this.#say({ type: 'job', stage: stage.kind, event });
            this.#estimate(event, stage.position, eta);
          },
          onSilent: (minutes) => {
            this.#say({ type: 'silent', stage: stage.kind, minutes });
          },
          onGap: (gap) => {
            lost += gap;
            eta.skip(position, gap * 1000);
            this.#say({ type: 'gap', stage: kind, seconds: gap });
          },
          ...this.#options.silence,
        },
      );
      if (outcome.state === 'done') {
        end({ state: 'done', result: outcome.result as StageRecord['result'] });
        this.#dropCheckpoints(kind);
      } else end({ state: outcome.state === 'paused' ? 'paused' : 'pending' });
      removeWorkerNote(this.#folder);
      if (this.#storeError !== null) throw this.#storeError;
      return outcome;
    } catch (thrown) {
      this.#writeDown(() => {
        end({ state: 'failed', error: databaseError(thrown, this.#workspace.paths.database).serialise() });
      });
      throw thrown;
    }
  }

  #estimate(event: JobEvent, position: number, eta: EtaEstimator): void {
    if (event.type !== 'progress') return;
    eta.progress(position, event.done, event.total, performance.now());
    this.#say({ type: 'estimate', ...eta.estimate(position) });
  }

  /** Stages to be repeated by wish, or because what they made is gone, become pending again. */
  #reopenStages(): void {
    const { stages, artifacts } = this.#record();
    for (const stage of stages) {
      if (stage.state !== 'done') continue;
      const lost = artifacts.filter(
        (artifact) => artifact.stage === stage.kind && !existsSync(join(this.#folder, artifact.path)),
      );
      if (lost.length > 0)
        this.#say({
          type: 'warning',
          text: `${stage.kind} runs again: ${lost.map(({ path }) => path).join(', ')} is missing.`,
        });
      if (lost.length > 0 || this.#options.again?.includes(stage.kind) === true)
        this.#workspace.experiments.setStage(this.#id, pendingStage(stage.position, stage.kind, stage.weight));
      else this.#dropCheckpoints(stage.kind);
    }
  }

  /** A stage that is done has left its model; its checkpoints are three times as large. */
  #dropCheckpoints(kind: JobKind): void {
    try {
      rmSync(checkpointFolder(this.#folder, kind), { recursive: true, force: true });
    } catch (thrown) {
      this.#say({ type: 'warning', text: TritsmithError.from(thrown).message });
    }
  }

  #warnOfOtherVersions(): void {
    const record = this.#record();
    if (record.started === null) return;
    const now = programVersions();
    const changed = Object.keys(now).filter((name) => record.versions[name] !== now[name]);
    if (changed.length === 0) return;
    const list = changed
      .map((name) => `${name} ${record.versions[name] ?? 'none'} -> ${now[name] ?? 'none'}`)
      .join(', ');
    this.#say({
      type: 'warning',
      text: `It began with other versions (${list}): the rest may differ in the last bits from an uninterrupted run.`,
    });
  }

  /** Notes a failure; when even that fails (a full disk), the failure itself matters more, and the next start finds it interrupted. */
  #writeDown(note: () => unknown): void {
    try {
      note();
    } catch (second) {
      this.#say({ type: 'warning', text: TritsmithError.from(second).message });
    }
  }

  #record(): ExperimentRecord {
    return this.#workspace.experiments.get(this.#id);
  }

  #setState(state: ExperimentState, error: TritsmithError | null = null): ExperimentRecord {
    this.#workspace.experiments.setState(this.#id, state, error?.serialise() ?? null);
    return this.#changed();
  }

  #setStage(stage: StageRecord): void {
    this.#workspace.experiments.setStage(this.#id, stage);
    this.#changed();
  }

  #changed(): ExperimentRecord {
    const record = this.#record();
    writeExperimentFile(this.#folder, record);
    this.#say({ type: 'changed', experiment: record });
    return record;
  }

  #say(event: ExperimentEvent): void {
    this.#options.onEvent?.(event);
  }
}
