/** Wizards that were left: one JSON file each in the workspace. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { draft, type Draft } from '../../contract/views.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';

export class DraftStore {
  readonly #folder: string;

  /** `workspace`: the workspace's folder. */
  constructor(workspace: string) {
    this.#folder = join(workspace, 'drafts');
    if (!existsSync(this.#folder)) mkdirSync(this.#folder, { mode: 0o700 });
  }

  /** Last changed first; a file that is no draft is left alone. */
  list(): Draft[] {
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => readJsonIfWhole(join(this.#folder, name), draft))
      .filter((found) => found !== null)
      .sort((a, b) => b.changed - a.changed);
  }

  save(content: Omit<Draft, 'changed'>): Draft {
    const saved = draft.parse({ ...content, changed: Date.now() });
    writeJsonAtomically(join(this.#folder, `${saved.id}.json`), saved);
    return saved;
  }

  remove(id: string): void {
    if (draft.shape.id.safeParse(id).success) rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}
