/** Names of the machine that builds: none of them may be in what users are given. */
import { homedir, hostname, userInfo } from 'node:os';
import { root } from '../node.mjs';

/** Paths and names that would tell where something was built; words that stand in any program (such as root) are none. */
export function namesOfThisMachine(): string[] {
  const home = homedir();
  const { username } = userInfo();
  return [
    root,
    ...(home.split('/').length > 2 ? [home] : []),
    ...(hostname().length >= 6 && hostname() !== 'localhost' ? [hostname()] : []),
    ...(username !== 'root' ? [`/home/${username}/`, `/Users/${username}/`] : []),
  ];
}

/** Those of the names that stand in the bytes, as UTF-8 or as UTF-16. */
export const namesIn = (bytes: Buffer, names: readonly string[]): string[] =>
  names.filter((name) => bytes.includes(name) || bytes.includes(Buffer.from(name, 'utf16le')));
