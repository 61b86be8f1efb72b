/** Jinja templates, as models and people write them, within bounds of size, time and memory. */
import { TritsmithError } from '../../contract/errors.ts';
import { BeyondLimits, type IsolatedProcess, isolatedProcess } from '../isolation/isolated-process.ts';
import type { RenderReply, RenderRequest } from './jinja-process.ts';
import { renderer } from './jinja-renderer.ts';

export const longestSource = 256 * 1024;

const failed = (what: string, thrown: unknown) =>
  new TritsmithError('bad-input', 'template.not-rendered', { what, problem: (thrown as Error).message.slice(0, 300) });

const insertion = /\{\{-?\s*(?:[A-Za-z_]\w{0,99}|row\[(?:"[^"\\{}]{0,99}"|'[^'\\{}]{0,99}')\])\s*-?\}\}/g;

/** Whether a template does nothing but put names in their places: such a one can't take more time than its output is long. */
function onlyInserts(source: string): boolean {
  return !/\{[{%#]|[}%#]\}/.test(source.replace(insertion, ''));
}

/** Of one rendering: seconds of processor time, and memory of the process. */
const limits = { seconds: 2, megabytes: 256 };

let sandbox: IsolatedProcess | undefined;
/** The process answers one question at a time. */
let last: Promise<unknown> = Promise.resolve();

async function ask(request: RenderRequest): Promise<string> {
  if (sandbox?.alive !== true)
    sandbox = isolatedProcess(new URL('./jinja-process.ts', import.meta.url), limits.megabytes);
  let reply: RenderReply;
  try {
    reply = (await sandbox.ask(request, limits)) as RenderReply;
  } catch (thrown) {
    const reason = thrown instanceof BeyondLimits ? thrown.message : String(thrown);
    throw new Error(`rendering is stopped: ${reason}`, { cause: thrown });
  }
  if ('problem' in reply) throw new Error(reply.problem);
  return reply.text;
}

/** Renders in the process for templates of others; with `names` null only the syntax is checked. @throws Error with the reason */
function renderInSandbox(source: string, names: object | null, longestOutput: number): Promise<string> {
  const text = last.then(() => ask({ source, names, longestOutput }));
  last = text.catch(() => undefined);
  return text;
}

/**
 * Compiles a template; the function renders it with the given names, which must be structured-cloneable. Templates with expressions
 * or blocks run in a process of their own (jinja-process.ts), with 2 seconds of processor time and 256 MB for each call. `what` names the template in errors.
 * @throws TritsmithError `bad-input`: syntax, unknown filters, too much time or memory, output longer than `longestOutput` characters
 */
export async function compileJinja(
  what: string,
  source: string,
  longestOutput: number,
): Promise<(names: object) => Promise<string>> {
  const bounded = async <T>(work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (thrown) {
      throw failed(what, thrown);
    }
  };
  if (source.length > longestSource) throw failed(what, new Error(`it is longer than ${longestSource} characters`));
  if (onlyInserts(source)) {
    const render = await bounded(() => renderer(source));
    return (names) => bounded(() => render(names, longestOutput));
  }
  await bounded(() => renderInSandbox(source, null, 0));
  return (names) => bounded(() => renderInSandbox(source, names, longestOutput));
}
