/** The template language itself: which names every template has, and how much it may write. */
import { Environment, Interpreter, Template } from '@huggingface/jinja';

const longestRange = 10_000;

function boundedRange(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to] = stop === undefined ? [0, Number(start)] : [Number(start), Number(stop)];
  const by = Number(step);
  const length = Math.ceil((to - from) / by);
  if (!(Number.isFinite(length) && length <= longestRange)) throw new Error(`range() is longer than ${longestRange}`);
  return Array.from({ length: Math.max(0, length) }, (_, i) => from + i * by);
}

/** The value that JSON text stands for; prompts of several turns reach chat templates so. */
function fromJson(text: unknown): unknown {
  return JSON.parse(String(text));
}

const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: boundedRange,
  from_json: fromJson,
  raise_exception(text: unknown) {
    throw new Error(String(text));
  },
};

/** Names that the template language gives a meaning of its own. */
export const reservedNames: ReadonlySet<string> = new Set(Object.keys(globals));

/** Compiles a template; throws plain errors, as the function does that it returns. */
export function renderer(source: string): (names: object, longestOutput: number) => string {
  const template = new Template(source);
  return (names, longestOutput) => {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...names, ...globals })) environment.set(name, value);
    const text = String((new Interpreter(environment).run(template.parsed) as { value: unknown }).value);
    if (text.length > longestOutput)
      throw new Error(`its output has ${text.length} characters, at most ${longestOutput} are allowed`);
    return text;
  };
}
