/** The queue in SQLite, so that it outlives the workbench, also one that was killed. */
import type { Sqlite } from '../workspace/database.ts';

export interface StoredQueue {
  /** The experiment that runs, or ran when the workbench ended. */
  readonly running: string | null;
  /** Those that wait, the next one first. */
  readonly waiting: readonly string[];
}

export class QueueStore {
  readonly #database: Sqlite;

  constructor(database: Sqlite) {
    this.#database = database;
  }

  read(): StoredQueue {
    const rows = this.#database
      .prepare<[], { experiment: string; place: number }>('SELECT experiment, place FROM queue ORDER BY place')
      .all();
    return {
      running: rows.find(({ place }) => place < 0)?.experiment ?? null,
      waiting: rows.filter(({ place }) => place >= 0).map(({ experiment }) => experiment),
    };
  }

  /** Replaces what is there, all or nothing. */
  write({ running, waiting }: StoredQueue): void {
    const insert = this.#database.prepare('INSERT INTO queue (experiment, place) VALUES (?, ?)');
    this.#database.transaction(() => {
      this.#database.prepare('DELETE FROM queue').run();
      if (running !== null) insert.run(running, -1);
      for (const [place, id] of waiting.entries()) insert.run(id, place);
    })();
  }
}
