/** Experiments, their stages, artifacts and logs in SQLite. Knows no files and no processes. */
import {
  experimentRecord,
  type ExperimentRecord,
  type ExperimentState,
  type StageRecord,
} from '../../contract/experiments.ts';
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import type { Artifact, JobKind } from '../../contract/jobs.ts';
import type { LogLine } from '../../contract/views.ts';
import type { Sqlite } from '../workspace/database.ts';
import { assertTransition } from './experiment-state.ts';

export interface ExperimentOverview {
  readonly id: string;
  readonly name: string;
  readonly state: ExperimentState;
  readonly created: number;
  readonly ended: number | null;
  readonly preset: string;
  /** Path of the teacher's folder. */
  readonly teacher: string;
  readonly task: string;
  readonly seconds: number;
  /** Weighted share of the stages that is done. */
  readonly fraction: number;
}

interface ExperimentRow {
  id: string;
  name: string;
  state: ExperimentState;
  recipe: string;
  seed: number;
  created: number;
  started: number | null;
  ended: number | null;
  machine: string;
  versions: string;
  error: string | null;
}
type StageRow = Omit<StageRecord, 'error' | 'result'> & { error: string | null; result: string | null };

export class ExperimentStore {
  readonly #database: Sqlite;

  constructor(database: Sqlite) {
    this.#database = database;
  }

  /** Stores a whole record; fails when the id is taken. */
  add(record: ExperimentRecord): void {
    this.#database.transaction(() => {
      this.#database
        .prepare(
          `INSERT INTO experiments (id, name, state, recipe, seed, created, started, ended, machine, versions, error)
           VALUES (@id, @name, @state, @recipe, @seed, @created, @started, @ended, @machine, @versions, @error)`,
        )
        .run({
          ...record,
          recipe: JSON.stringify(record.recipe),
          machine: JSON.stringify(record.machine),
          versions: JSON.stringify(record.versions),
          error: orNull(record.error),
        });
      for (const stage of record.stages) this.#putStage(record.id, stage);
      for (const artifact of record.artifacts) this.putArtifact(record.id, artifact.stage, artifact);
    })();
  }

  /** Newest first. */
  list(): ExperimentRecord[] {
    return this.ids().map((id) => this.get(id));
  }

  /** All ids, newest first. */
  ids(): string[] {
    return this.#database
      .prepare<[], string>('SELECT id FROM experiments ORDER BY created DESC, id DESC')
      .pluck()
      .all();
  }

  /** What a table of all experiments shows, newest first: one query, no recipe is taken apart. */
  overview(): ExperimentOverview[] {
    return this.#database
      .prepare<[], ExperimentOverview>(
        `SELECT e.id, e.name, e.state, e.created, e.ended,
                json_extract(e.recipe, '$.preset') AS preset,
                json_extract(e.recipe, '$.teacher') AS teacher,
                json_extract(e.recipe, '$.task.name') AS task,
                coalesce(sum(s.seconds), 0) AS seconds,
                coalesce(sum(s.weight * CASE WHEN s.state = 'done' THEN 1.0
                                             WHEN s.total > 0 THEN min(1.0, s.done / s.total) ELSE 0.0 END)
                         / nullif(sum(s.weight), 0), 0) AS fraction
         FROM experiments e LEFT JOIN stages s ON s.experiment = e.id
         GROUP BY e.id ORDER BY e.created DESC, e.id DESC`,
      )
      .all();
  }

  has(id: string): boolean {
    return this.#database.prepare('SELECT 1 FROM experiments WHERE id = ?').get(id) !== undefined;
  }

  get(id: string): ExperimentRecord {
    const row = this.#database.prepare<[string], ExperimentRow>('SELECT * FROM experiments WHERE id = ?').get(id);
    if (row === undefined) throw new TritsmithError('not-found', 'experiment.none', { reference: id });
    const stages = this.#database
      .prepare<[string], StageRow>('SELECT * FROM stages WHERE experiment = ? ORDER BY position')
      .all(id)
      .map((stage) => ({ ...stage, error: fromJson(stage.error), result: fromJson(stage.result) }));
    const artifacts = this.#database
      .prepare<[string], Artifact & { stage: JobKind }>(
        'SELECT name, stage, path, bytes, sha256 FROM artifacts WHERE experiment = ? ORDER BY name',
      )
      .all(id);
    return experimentRecord.parse({
      ...row,
      recipe: fromJson(row.recipe),
      machine: fromJson(row.machine),
      versions: fromJson(row.versions),
      error: fromJson(row.error),
      stages,
      artifacts,
    });
  }

  /** The experiment that `reference` names: its id, the only id that begins so, or `latest`. */
  find(reference: string): ExperimentRecord {
    if (this.has(reference)) return this.get(reference);
    const ids = this.ids();
    const [newest] = ids;
    if (reference === 'latest' && newest !== undefined) return this.get(newest);
    const matches = reference === '' ? [] : ids.filter((id) => id.startsWith(reference));
    const [only] = matches;
    if (only !== undefined && matches.length === 1) return this.get(only);
    throw matches.length > 1
      ? new TritsmithError('not-found', 'experiment.several', { reference, matches })
      : new TritsmithError('not-found', 'experiment.none', { reference });
  }

  /** Moves to another state; a state that may not follow is refused. */
  setState(id: string, state: ExperimentState, error: SerialisedError | null = null): void {
    const now = Date.now();
    this.#database.transaction(() => {
      assertTransition(this.get(id).state, state);
      this.#database
        .prepare(
          `UPDATE experiments SET state = @state, error = @error,
             started = CASE WHEN @state = 'running' THEN coalesce(started, @now) ELSE started END,
             ended = CASE WHEN @state = 'running' THEN NULL ELSE @now END
           WHERE id = @id`,
        )
        .run({ id, state, now, error: orNull(error) });
    })();
  }

  setStage(id: string, stage: StageRecord): void {
    this.#putStage(id, stage);
  }

  setRecipe(id: string, recipe: ExperimentRecord['recipe']): void {
    this.#database.prepare('UPDATE experiments SET recipe = ? WHERE id = ?').run(JSON.stringify(recipe), id);
  }

  /** `seconds`: time spent on the stage so far. */
  setProgress(
    id: string,
    position: number,
    progress: { done: number; total: number; unit: string; seconds: number },
  ): void {
    this.#database
      .prepare('UPDATE stages SET done = ?, total = ?, unit = ?, seconds = ? WHERE experiment = ? AND position = ?')
      .run(progress.done, progress.total, progress.unit, progress.seconds, id, position);
  }

  putArtifact(id: string, stage: JobKind, artifact: Artifact): void {
    this.#database
      .prepare(
        'INSERT OR REPLACE INTO artifacts (experiment, name, stage, path, bytes, sha256) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(id, artifact.name, stage, artifact.path, artifact.bytes, artifact.sha256);
  }

  addLog(id: string, line: LogLine): void {
    this.#database
      .prepare('INSERT INTO logs (experiment, stage, time, level, text) VALUES (?, ?, ?, ?, ?)')
      .run(id, line.stage, line.time, line.level, line.text);
  }

  /** The last `limit` lines, oldest first. */
  logs(id: string, limit = 200): LogLine[] {
    return this.#database
      .prepare<[string, number], LogLine>(
        'SELECT stage, time, level, text FROM logs WHERE experiment = ? ORDER BY id DESC LIMIT ?',
      )
      .all(id, limit)
      .reverse();
  }

  /** Nobody runs them any more: running experiments and stages become `interrupted`. Returns their ids. */
  markInterrupted(): string[] {
    return this.#database.transaction(() => {
      const ids = this.#database
        .prepare<[], string>("SELECT id FROM experiments WHERE state = 'running'")
        .pluck()
        .all();
      this.#database
        .prepare("UPDATE stages SET state = 'interrupted', ended = ? WHERE state = 'running'")
        .run(Date.now());
      for (const id of ids) this.setState(id, 'interrupted');
      return ids;
    })();
  }

  #putStage(id: string, stage: StageRecord): void {
    this.#database
      .prepare(
        `INSERT OR REPLACE INTO stages
           (experiment, position, kind, weight, state, done, total, unit, started, ended, seconds, error, result)
         VALUES (@id, @position, @kind, @weight, @state, @done, @total, @unit, @started, @ended, @seconds, @error, @result)`,
      )
      .run({ ...stage, id, error: orNull(stage.error), result: orNull(stage.result) });
  }
}

function orNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

function fromJson(text: string | null): unknown {
  return text === null ? null : (JSON.parse(text) as unknown);
}
