/** Teachers that the user has added, each with the card that was made of it. */
import { teacherCard } from '../contract/queries.ts';
import type { TeacherCard } from '../contract/queries.ts';
import type { Sqlite } from './database.ts';

export interface LibraryTeacher {
  readonly name: string;
  readonly added: number;
  readonly card: TeacherCard;
}

export class TeacherLibrary {
  readonly #database: Sqlite;

  constructor(database: Sqlite) {
    this.#database = database;
  }

  /** Adds or renews the entry of the card's folder. */
  put(name: string, card: TeacherCard): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO teachers (folder, name, card, added) VALUES (?, ?, ?, ?)')
      .run(card.folder, name, JSON.stringify(card), Date.now());
  }

  list(): LibraryTeacher[] {
    return this.#database
      .prepare<[], { name: string; card: string; added: number }>(
        'SELECT name, card, added FROM teachers ORDER BY name, folder',
      )
      .all()
      .map(({ name, card, added }) => ({ name, added, card: teacherCard.parse(JSON.parse(card)) }));
  }
}
