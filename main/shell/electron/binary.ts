/** Electron's binary: in a clone its package comes with `npm ci`, the binary with the first `npm start`; beside a portable archive people may put it. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const inPackage: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'Electron.app/Contents/MacOS/Electron',
  win32: 'electron.exe',
};

/** Folder of its package; null in a portable archive, which holds none. */
export function electronFolder(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch {
    return null;
  }
}

/** Folder in which a portable archive's user may have unpacked Electron's release: `electron` beside the engine. */
const besideEngine = fileURLToPath(new URL('../../../../electron', import.meta.url));

/** Where the binary is or will be: in `folder` of the package, or where there is no package, in `beside`. */
export function electronPath(folder = electronFolder(), beside = besideEngine): string {
  return join(folder === null ? beside : join(folder, 'dist'), inPackage[process.platform] ?? 'electron');
}

/** That path; null while the binary is not there whole. */
export function electronBinary(folder = electronFolder(), beside = besideEngine): string | null {
  const path = electronPath(folder, beside);
  if (folder === null) return existsSync(path) ? path : null;
  // Its installer writes path.txt last.
  return existsSync(path) && existsSync(join(folder, 'path.txt')) && isOfPackage(folder) ? path : null;
}

function isOfPackage(folder: string): boolean {
  try {
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return (
      readFileSync(join(folder, 'dist', 'version'), 'utf8')
        .trim()
        .replace(/^v/, '') === version
    );
  } catch {
    return false;
  }
}
