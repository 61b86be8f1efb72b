/** The settings of the interface: one JSON file in the workspace. */
import { join } from 'node:path';
import { settings, type Settings } from '../../contract/views.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';

export class SettingsStore {
  readonly #path: string;

  constructor(workspace: string) {
    this.#path = join(workspace, 'settings.json');
  }

  read(): Settings {
    return readJsonIfWhole(this.#path, settings) ?? settings.parse({});
  }

  change(change: Partial<Settings>): Settings {
    const changed = settings.parse({ ...this.read(), ...change });
    writeJsonAtomically(this.#path, changed);
    return changed;
  }
}
