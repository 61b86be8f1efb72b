/** The program's TypeScript as the JavaScript that runs here too: Node's own stripping, with the names of files changed. */
import { stripTypeScriptTypes } from 'node:module';
import { posix } from 'node:path';

/**
 * Strips the types, which leaves every line and column where it was, and names `x.js` where the text names a `x.ts` of the program relative to itself.
 * @param path of the file in the repository
 * @param isProgram whether a path in the repository is one of the program
 * @throws Error where a relative name of a .ts file leads nowhere
 */
export function toJavaScript(source: string, path: string, isProgram: (path: string) => boolean): string {
  return stripTypeScriptTypes(source, { mode: 'strip' }).replaceAll(
    /(['"`])(\.{1,2}\/[^'"`\n]*)\.ts\1/g,
    (_, quote: string, name: string) => {
      const meant = posix.join(posix.dirname(path), `${name}.ts`);
      if (!isProgram(meant)) throw new Error(`${path} names ${meant}, which is no file of the program.`);
      return `${quote}${name}.js${quote}`;
    },
  );
}
