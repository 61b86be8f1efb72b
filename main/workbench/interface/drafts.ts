/** Wizards that were left and the settings of the interface: small JSON files in the workspace. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { draft, type Draft, settings, type Settings } from '../../contract/views.ts';
import { writeJsonAtomicallySync } from '../../basics/atomic-file.ts';

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
      .flatMap((name) => readDraft(join(this.#folder, name)))
      .sort((a, b) => b.changed - a.changed);
  }

  save(content: Omit<Draft, 'changed'>): Draft {
    const saved = draft.parse({ ...content, changed: Date.now() });
    writeJsonAtomicallySync(join(this.#folder, `${saved.id}.json`), saved);
    return saved;
  }

  remove(id: string): void {
    if (draft.shape.id.safeParse(id).success) rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}

function readDraft(path: string): Draft[] {
  try {
    return [draft.parse(JSON.parse(readFileSync(path, 'utf8')))];
  } catch {
    return [];
  }
}

export class SettingsStore {
  readonly #path: string;

  constructor(workspace: string) {
    this.#path = join(workspace, 'settings.json');
  }

  read(): Settings {
    try {
      return settings.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch {
      return settings.parse({});
    }
  }

  change(change: Partial<Settings>): Settings {
    const changed = settings.parse({ ...this.read(), ...change });
    writeJsonAtomicallySync(this.#path, changed);
    return changed;
  }
}
