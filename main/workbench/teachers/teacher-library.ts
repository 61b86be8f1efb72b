/** Teachers that the user has added, each with the card that was made of it. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { teacherCard, type TeacherCard } from '../../contract/queries.ts';
import { writeJsonAtomicallySync } from '../../basics/atomic-file.ts';
import type { Sqlite } from '../workspace/database.ts';

const libraryTeacher = z.object({ name: z.string(), added: z.number(), card: teacherCard });
export type LibraryTeacher = z.infer<typeof libraryTeacher>;

export class TeacherLibrary {
  readonly #database: Sqlite;
  readonly #copy: string;

  /** `copy`: file that holds the list once more, for the day on which the database is damaged. */
  constructor(database: Sqlite, copy: string) {
    this.#database = database;
    this.#copy = copy;
  }

  /** Adds or renews the entry of the card's folder. */
  put(name: string, card: TeacherCard): void {
    this.#store({ name, card, added: Date.now() });
    writeJsonAtomicallySync(this.#copy, this.list());
  }

  /** Fills an empty list from its copy; a copy that cannot be read is left alone. */
  restore(): void {
    if (!existsSync(this.#copy) || this.list().length > 0) return;
    try {
      const found = z.array(libraryTeacher).parse(JSON.parse(readFileSync(this.#copy, 'utf8')));
      for (const teacher of found) this.#store(teacher);
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError) && !(thrown instanceof z.ZodError)) throw thrown;
    }
  }

  #store({ name, card, added }: LibraryTeacher): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO teachers (folder, name, card, added) VALUES (?, ?, ?, ?)')
      .run(card.folder, name, JSON.stringify(card), added);
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
