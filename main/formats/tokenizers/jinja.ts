/** Jinja templates, as models and people write them, within bounds of size, time and memory. */
import { TritsmithError } from '../../contract/errors.ts';
import { renderer } from './jinja-renderer.ts';
import { renderInSandbox } from './jinja-sandbox.ts';

export const longestSource = 256 * 1024;

const failed = (what: string, thrown: unknown) =>
  new TritsmithError('bad-input', 'template.not-rendered', { what, problem: (thrown as Error).message.slice(0, 300) });

const insertion = /\{\{-?\s*(?:[A-Za-z_]\w{0,99}|row\[(?:"[^"\\{}]{0,99}"|'[^'\\{}]{0,99}')\])\s*-?\}\}/g;

/** Whether a template does nothing but put names in their places: such a one can't take more time than its output is long. */
function onlyInserts(source: string): boolean {
  return !/\{[{%#]|[}%#]\}/.test(source.replace(insertion, ''));
}

/**
 * Compiles a template; the function renders it with the given names, which must be structured-cloneable. Templates with expressions
 * or blocks run in a process of their own (jinja-process.ts), with 2 seconds of processor time and 256 MB for each call. `what` names the template in errors.
 * @throws TritsmithError `bad-input`: syntax, unknown filters, too much time or memory, output longer than `longestOutput` characters
 */
export function compileJinja(what: string, source: string, longestOutput: number): (names: object) => string {
  const bounded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (thrown) {
      throw failed(what, thrown);
    }
  };
  if (source.length > longestSource) throw failed(what, new Error(`it is longer than ${longestSource} characters`));
  if (onlyInserts(source)) {
    const render = bounded(() => renderer(source));
    return (names) => bounded(() => render(names, longestOutput));
  }
  bounded(() => renderInSandbox(source, null, 0));
  return (names) => bounded(() => renderInSandbox(source, names, longestOutput));
}
