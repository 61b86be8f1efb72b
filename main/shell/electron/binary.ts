/** Electron's binary: its package comes with `npm ci`, the binary only with the first `npm start`. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const inPackage: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'Electron.app/Contents/MacOS/Electron',
  win32: 'electron.exe',
};

export function electronFolder(): string {
  return dirname(createRequire(import.meta.url).resolve('electron/package.json'));
}

/** Path of the binary in `folder` of the package; null while it has not been fetched whole. */
export function electronBinary(folder = electronFolder()): string | null {
  const path = join(folder, 'dist', inPackage[process.platform] ?? 'electron');
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
