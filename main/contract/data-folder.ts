/** Where this user's data of the program lies: experiments, and components that are fetched on demand. */
import { homedir } from 'node:os';
import { isAbsolute, join, parse, resolve } from 'node:path';

/** The user's own folder; the root where the system knows of none (a service's account, a container's user without a name). */
export function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return parse(process.cwd()).root;
  }
}

/** `%LOCALAPPDATA%\Tritsmith`, `~/Library/Application Support/Tritsmith`, or `tritsmith` in `$XDG_DATA_HOME`. */
export function userDataFolder(
  platform: string = process.platform,
  env: NodeJS.ProcessEnv = process.env,
  home: string = homeFolder(),
): string {
  if (platform === 'win32') return join(env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local'), 'Tritsmith');
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'Tritsmith');
  const data = env['XDG_DATA_HOME'];
  return join(data !== undefined && isAbsolute(data) ? data : join(home, '.local', 'share'), 'tritsmith');
}

/** Folder of components: `$TRITSMITH_COMPONENTS`, else `components` beside the experiments; the same for every workspace. */
export function componentsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['TRITSMITH_COMPONENTS'];
  return named !== undefined && named !== ''
    ? resolve(named)
    : join(userDataFolder(process.platform, env), 'components');
}
