/** Where the parts of the program lie, seen from Electron's main process: beside it in a clone and an archive, around its asar in an installation. */
import { createHash } from 'node:crypto';
import { posix, win32 } from 'node:path';

export interface Surroundings {
  readonly platform: NodeJS.Platform;
  /** `app.getAppPath()`: the folder (or asar) whose package.json names the main script. */
  readonly appPath: string;
  /** `process.resourcesPath` where `app.isPackaged`, else null. */
  readonly resources: string | null;
  readonly env: NodeJS.ProcessEnv;
  exists(path: string): boolean;
}

export interface Places {
  readonly page: string;
  readonly preload: string;
  /** The pinned Node; null where none came along, and the system's must do. */
  readonly node: string | null;
  /** A script of the engine by its path in the repository without extension, as it lies there. A plain Node cannot read it in an asar. */
  script(path: string): string;
}

export function placesOf({ platform, appPath, resources, env, exists }: Surroundings): Places {
  const { join } = platform === 'win32' ? win32 : posix;
  const engine = resources === null ? appPath : join(resources, 'engine');
  const shipped = join(engine, 'bin', platform === 'win32' ? 'node.exe' : 'node');
  return {
    page: join(appPath, 'out', 'renderer'),
    preload: join(appPath, 'out', 'preload', 'preload.cjs'),
    node: env['TRITSMITH_NODE'] ?? (exists(shipped) ? shipped : null),
    script: (path) => {
      const extension = exists(join(engine, `${path}.js`)) ? 'js' : 'ts';
      return join(engine, `${path}.${extension}`);
    },
  };
}

/**
 * Folder of the window's profile, one for each workspace, so that there is one window for each: in the user's own folder, since the lock in it is a link,
 * which shares and memory sticks cannot hold. `appData`: `app.getPath('appData')`; `workspace`: absolute.
 */
export function profileFolder(platform: NodeJS.Platform, appData: string, workspace: string): string {
  const { join } = platform === 'win32' ? win32 : posix;
  // Windows and macOS do not tell capitals from small letters.
  const name = platform === 'win32' || platform === 'darwin' ? workspace.toLowerCase() : workspace;
  return join(appData, 'Tritsmith', 'windows', createHash('sha256').update(name).digest('hex').slice(0, 16));
}

/**
 * Whether a script may run in Electron's own Node: that strips no types in all its builds (`typescript`: `process.features.typescript`), and below
 * node_modules nobody does.
 */
export function runsInElectron(script: string, typescript: unknown): boolean {
  if (!/\.ts$/.test(script)) return true;
  return Boolean(typescript) && !/[\\/]node_modules[\\/]/.test(script);
}
