/** The settings of the interface: one JSON file in the workspace. */
import { join } from 'node:path';
import { proxySettings } from '../../hub/network-settings.ts';
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

  /** Throws like `proxySettings` for a proxy that cannot be used; then nothing changes. */
  change(change: Partial<Settings>): Settings {
    proxySettings({}, change.proxy);
    const changed = settings.parse({ ...this.read(), ...change });
    writeJsonAtomically(this.#path, changed);
    return changed;
  }
}
