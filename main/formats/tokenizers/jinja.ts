/** Jinja templates within bounds: size of source and output, and of `range`. */
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { TritsmithError } from '../../contract/errors.ts';

export const longestSource = 256 * 1024;
const longestRange = 10_000;

const failed = (what: string, thrown: unknown) =>
  new TritsmithError('bad-input', `${what} can't be rendered.`, {
    reason: (thrown as Error).message.slice(0, 300),
    remedy: 'Correct the template: the names in {{ }} must be known ones, and every {% %} block must be closed.',
  });

function boundedRange(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to] = stop === undefined ? [0, Number(start)] : [Number(start), Number(stop)];
  const by = Number(step);
  const length = Math.ceil((to - from) / by);
  if (!(Number.isFinite(length) && length <= longestRange)) throw new Error(`range() is longer than ${longestRange}`);
  return Array.from({ length: Math.max(0, length) }, (_, i) => from + i * by);
}

const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: boundedRange,
  raise_exception(text: unknown) {
    throw new Error(String(text));
  },
};

/** Names that the template language gives a meaning of its own. */
export const reservedNames: ReadonlySet<string> = new Set(Object.keys(globals));

/**
 * Compiles a template; the function renders it with the given names. `what` names it in errors.
 * @throws TritsmithError `bad-input`: syntax, unknown filters, output longer than `longestOutput` characters
 */
export function compileJinja(what: string, source: string, longestOutput: number): (names: object) => string {
  if (source.length > longestSource) throw failed(what, new Error(`it is longer than ${longestSource} characters`));
  let template: Template;
  try {
    template = new Template(source);
  } catch (thrown) {
    throw failed(what, thrown);
  }
  return (names) => {
    let text: string;
    try {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...names, ...globals })) environment.set(name, value);
      text = String((new Interpreter(environment).run(template.parsed) as { value: unknown }).value);
    } catch (thrown) {
      throw failed(what, thrown);
    }
    if (text.length > longestOutput)
      throw failed(what, new Error(`its output has ${text.length} characters, at most ${longestOutput} are allowed`));
    return text;
  };
}
