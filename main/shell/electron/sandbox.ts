/** Whether Chromium's sandbox can work on this Linux, looked at before Electron is fetched: where it cannot, Electron ends with a trap. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What is looked at; tests put their own in. */
export interface SystemFiles {
  read(path: string): string | null;
  list(folder: string): readonly string[];
  /** Whether the file runs with root's rights. */
  isSetuidRoot(path: string): boolean;
}

const quietly = <T>(work: () => T, otherwise: T): T => {
  try {
    return work();
  } catch {
    return otherwise;
  }
};

const here: SystemFiles = {
  read: (path) => quietly(() => readFileSync(path, 'utf8'), null),
  list: (folder) => quietly(() => readdirSync(folder), []),
  isSetuidRoot: (path) =>
    quietly(() => {
      const { mode, uid } = statSync(path);
      return uid === 0 && (mode & 0o4000) !== 0;
    }, false),
};

/**
 * Ubuntu 24.04 and later lend user namespaces only to programs with an AppArmor profile. Whether that keeps the sandbox of the Electron at `binary` from
 * working: no profile names it, and its helper is not setuid either.
 */
export function isSandboxRestricted(binary: string, files: SystemFiles = here): boolean {
  if (files.read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')?.trim() !== '1') return false;
  if (files.isSetuidRoot(join(dirname(binary), 'chrome-sandbox'))) return false;
  const profiles = '/etc/apparmor.d';
  return !files.list(profiles).some((name) => files.read(join(profiles, name))?.includes(binary) === true);
}
