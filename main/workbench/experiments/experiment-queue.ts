/** Runs experiments one after the other, and knows what each is doing. */
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { type LessMemory, lessMemoryOf, withLessMemory } from '../../contract/less-memory.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ExperimentView, QueueState } from '../../contract/views.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import { readAnnotations } from '../../experiment/annotations.ts';
import type { EventHub } from '../interface/event-hub.ts';
import { writeExperimentFile } from '../../experiment/record.ts';
import { isResumable } from './experiment-state.ts';
import { LiveTracker } from './live-tracker.ts';
import { QueueStore } from './queue-store.ts';
import { createExperiment, runExperiment, type RunExperimentOptions } from './run-experiment.ts';
import type { Workspace } from '../workspace/workspace.ts';

const lessMemoryNotes: Readonly<Record<LessMemory, string>> = {
  'half-the-tokens': 'Resumed with half as many tokens at once, because the memory ran out; the stage starts anew.',
  recompute:
    'Resumed with activations computed again, because the memory ran out; the stage goes on from its last checkpoint.',
  'byte-moments': 'Resumed with the optimiser’s moments in 8 bits, because the memory ran out; the stage starts anew.',
};

interface Running {
  readonly id: string;
  readonly signal: StopSignal;
  readonly tracker: LiveTracker;
  readonly ended: Promise<void>;
  /** It hung: its end is followed by a new start. */
  restarts: boolean;
}

export class ExperimentQueue {
  readonly #workspace: Workspace;
  readonly #port: SpawnPort;
  readonly #hub: EventHub;
  readonly #silence: NonNullable<RunExperimentOptions['silence']>;
  readonly #store: QueueStore;
  readonly #waiting: string[];
  /** The queue is as the last workbench left it, and nothing of it starts before a person says so. */
  #held: boolean;
  /** What ran when the last workbench ended, as long as nothing has been decided about it. */
  #interrupted: string | null;
  #running: Running | null = null;
  /** Why experiments of this session failed, also where the disk was too full to write it down. */
  readonly #failures = new Map<string, SerialisedError>();
  #closing = false;

  constructor(workspace: Workspace, port: SpawnPort, hub: EventHub, silence: RunExperimentOptions['silence'] = {}) {
    this.#workspace = workspace;
    this.#port = port;
    this.#hub = hub;
    this.#silence = silence;
    this.#store = new QueueStore(workspace.database);
    const { running, waiting } = this.#store.read();
    this.#waiting = waiting.filter((id) => isResumable(this.#state(id)));
    this.#held = this.#waiting.length > 0;
    this.#interrupted = [running, ...workspace.interrupted].find((id) => id !== null && this.#stoppedEarly(id)) ?? null;
  }

  /** Id of the experiment that runs now. */
  get running(): string | null {
    return this.#running?.id ?? null;
  }

  get waiting(): readonly string[] {
    return this.#waiting;
  }

  get state(): QueueState {
    return { held: this.#held, interrupted: this.#interrupted };
  }

  /** Starts the queue that the last workbench left, without the experiment that ran then. */
  goOn(): void {
    this.#interrupted = null;
    this.#release();
    this.#next();
    for (const waiting of this.#waiting) this.#tell(waiting);
    this.#hub.say({ type: 'list' });
  }

  /** Stores and queues a new experiment. Throws before anything is stored when the recipe or its inputs are wrong. */
  async start(recipe: Recipe): Promise<ExperimentView> {
    const record = await createExperiment(this.#workspace, recipe, this.#port);
    return this.#enqueue(record.id);
  }

  /**
   * Queues an experiment that has ended early; nothing changes for one that waits or runs already. In a queue that the last
   * workbench left it runs first, and the others follow.
   */
  resume(id: string): ExperimentView {
    if (this.#running?.id === id || (this.#waiting.includes(id) && !this.#held)) return this.view(id);
    let record = this.#workspace.experiments.get(id);
    if (record.state === 'running') {
      this.#workspace.experiments.markInterrupted();
      record = this.#workspace.experiments.get(id);
    }
    if (!isResumable(record.state)) throw new TritsmithError('bad-input', 'experiment.is-done', { name: record.name });
    return this.#enqueue(id);
  }

  /** Queues one that memory ended, with a recipe that needs less. @throws TritsmithError `bad-input` for any other, and where nothing is left to lower */
  resumeWithLessMemory(id: string): ExperimentView {
    const { experiments } = this.#workspace;
    const { recipe, error, name, stages } = experiments.get(id);
    if (error?.code !== 'out-of-memory') throw new TritsmithError('bad-input', 'experiment.had-memory', { name });
    const change = lessMemoryOf(recipe);
    if (change === null) throw new TritsmithError('bad-input', 'experiment.nothing-to-lower', { name });
    experiments.setRecipe(id, withLessMemory(recipe));
    const stage = stages.find(({ state }) => state === 'failed')?.kind ?? '';
    const text = lessMemoryNotes[change];
    const line = { stage, time: Date.now(), level: 'info' as const, text };
    experiments.addLog(id, line);
    this.#hub.say({ type: 'log', id, lines: [line] });
    return this.resume(id);
  }

  /** Asks the running experiment to stop, or takes a waiting one out of the queue; cancels one that is paused or interrupted. */
  stop(id: string, request: 'pause' | 'cancel'): ExperimentView {
    const place = this.#waiting.indexOf(id);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (this.#waiting.length === 0) this.#held = false;
    if (request === 'cancel' && this.#interrupted === id) this.#interrupted = null;
    if (this.#running?.id === id) {
      this.#running.signal.ask(request);
      this.#running.tracker.stopping(request);
    } else if (request === 'cancel' && ['created', 'paused', 'interrupted', 'failed'].includes(this.#state(id))) {
      this.#workspace.experiments.setState(id, 'cancelled');
      this.#writeFile(id);
    }
    this.#keep();
    this.#tell(id);
    this.#hub.say({ type: 'list' });
    return this.view(id);
  }

  /** Puts one that waits at `place` (0 is next, beyond the end is last); nothing changes for one that does not wait. */
  move(id: string, place: number): ExperimentView {
    const from = this.#waiting.indexOf(id);
    if (from >= 0) {
      this.#waiting.splice(from, 1);
      this.#waiting.splice(place, 0, id);
      this.#keep();
      for (const waiting of this.#waiting) this.#tell(waiting);
      this.#hub.say({ type: 'list' });
    }
    return this.view(id);
  }

  /** Ends the worker of the running experiment, hanging or not, and goes on from the last checkpoint with a new one. */
  restart(id: string): ExperimentView {
    if (this.#running?.id !== id) return this.resume(id);
    this.#running.restarts = true;
    this.#running.signal.ask('cancel');
    this.#running.tracker.stopping('restart');
    this.#tell(id);
    return this.view(id);
  }

  view(id: string): ExperimentView {
    const running = this.#running?.id === id ? this.#running : null;
    const record = this.#asItIs(this.#workspace.experiments.get(id));
    const place = this.#waiting.indexOf(id);
    const { tags, notes } = readAnnotations(this.#workspace.experimentFolder(id));
    return {
      record,
      live: running?.tracker.live ?? null,
      queuePosition: place < 0 ? null : place,
      pausable: running !== null && running.signal.request === null,
      resumable: running === null && (place < 0 || this.#held) && isResumable(record.state),
      annotations: { tags, notes },
      folder: this.#workspace.experimentFolder(id),
    };
  }

  /** The record; one that says `running` although nothing runs could not be written when it failed. */
  #asItIs(record: ExperimentRecord): ExperimentRecord {
    if (record.state !== 'running' || this.#running?.id === record.id) return record;
    const stages = record.stages.map((stage) =>
      stage.state === 'running' ? { ...stage, state: 'interrupted' as const } : stage,
    );
    return { ...record, state: 'failed', error: this.#failures.get(record.id) ?? null, stages };
  }

  /** Pauses what runs and resolves when the worker is gone. The next workbench finds the queue as it is now. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#running?.signal.ask('pause');
    await this.#running?.ended;
  }

  #enqueue(id: string): ExperimentView {
    const place = this.#waiting.indexOf(id);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (this.#held) this.#waiting.unshift(id);
    else this.#waiting.push(id);
    this.#release();
    if (this.#interrupted === id) this.#interrupted = null;
    this.#next();
    this.#tell(id);
    this.#hub.say({ type: 'list' });
    return this.view(id);
  }

  #next(): void {
    if (this.#running !== null || this.#closing || this.#held) return;
    const id = this.#waiting.shift();
    if (id === undefined) return;
    const signal = new StopSignal();
    const tracker = new LiveTracker(this.#workspace.experimentFolder(id), {
      live: (live) => {
        this.#hub.say({ type: 'live', id, live });
      },
      log: (lines) => {
        this.#hub.say({ type: 'log', id, lines });
      },
    });
    const ended = this.#run(id, signal, tracker).finally(() => {
      tracker.close();
      if (this.#running?.restarts === true && !this.#closing && isResumable(this.#state(id))) this.#waiting.unshift(id);
      this.#running = null;
      this.#announceEnd(id);
      this.#next();
      this.#keep();
      for (const waiting of this.#waiting) this.#tell(waiting);
    });
    this.#running = { id, signal, tracker, ended, restarts: false };
    this.#keep();
  }

  #release(): void {
    this.#held = false;
    this.#keep();
  }

  /** Writes the queue down. A full disk does not stop it; then it only does not outlive this workbench. */
  #keep(): void {
    if (this.#closing) return;
    try {
      this.#store.write({ running: this.#running?.id ?? this.#interrupted, waiting: this.#waiting });
    } catch {
      // The experiment that runs meets the same disk and tells.
    }
  }

  /** Ended by something else than its own end or a person's cancel. */
  #stoppedEarly(id: string): boolean {
    return (
      ['paused', 'interrupted', 'failed'].includes(this.#state(id)) &&
      !readAnnotations(this.#workspace.experimentFolder(id)).removed
    );
  }

  async #run(id: string, signal: StopSignal, tracker: LiveTracker): Promise<void> {
    try {
      await runExperiment(this.#workspace, id, {
        port: this.#port,
        signal,
        silence: this.#silence,
        onEvent: (event) => {
          tracker.hear(event);
          if (event.type === 'changed') this.#tell(id);
          // Closing waits for the state to be saved, but not for a worker that hangs.
          if (event.type === 'silent' && event.minutes > 0 && this.#closing) signal.ask('cancel');
        },
      });
    } catch (thrown) {
      // A failed stage is written down already; what fails before any stage (inputs that are gone) is not.
      const error = TritsmithError.from(thrown);
      this.#failures.set(id, error.serialise());
      if (this.#state(id) === 'failed') return;
      this.#writeFailure(id, error);
    }
  }

  /** A full disk takes no note of the failure either; then it is shown from memory. */
  #writeFailure(id: string, error: TritsmithError): void {
    try {
      if (this.#state(id) !== 'running') this.#workspace.experiments.setState(id, 'running');
      this.#workspace.experiments.setState(id, 'failed', error.serialise());
      this.#writeFile(id);
    } catch {
      // `view` shows it.
    }
  }

  #announceEnd(id: string): void {
    const { name, state }: ExperimentRecord = this.#workspace.experiments.get(id);
    this.#tell(id);
    this.#hub.say({ type: 'ended', id, name, state });
    this.#hub.say({ type: 'list' });
  }

  #state(id: string): ExperimentRecord['state'] {
    return this.#workspace.experiments.get(id).state;
  }

  #tell(id: string): void {
    this.#hub.say({ type: 'experiment', view: this.view(id) });
  }

  #writeFile(id: string): void {
    writeExperimentFile(this.#workspace.experimentFolder(id), this.#workspace.experiments.get(id));
  }
}
