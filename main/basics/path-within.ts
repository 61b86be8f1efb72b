import { isAbsolute, relative, sep } from 'node:path';

/** Whether `place` is `folder` or lies in it; both absolute, with links followed. */
export function isWithin(folder: string, place: string): boolean {
  const way = relative(folder, place);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
