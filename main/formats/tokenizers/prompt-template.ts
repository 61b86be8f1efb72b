/** Prompt templates: Jinja over the columns of a row. */
import { reservedNames } from './jinja-renderer.ts';
import { compileJinja } from './jinja.ts';

/** Longest prompt in characters: longer than any context that can be trained. */
const longestPrompt = 4 * 1024 * 1024;

/**
 * Compiles a Jinja template such as `{{ question }}\nAnswer:`. Every column of a row is a name in it; columns whose names are no
 * identifiers are reached through `row["the name"]`.
 * @throws TritsmithError `bad-input` for syntax errors here, for output beyond 4 Mi characters when the function is called
 */
export async function compileTemplate(
  source: string,
): Promise<(row: Readonly<Record<string, string>>) => Promise<string>> {
  const render = await compileJinja('The prompt template', source, longestPrompt);
  return (row) => {
    const columns = Object.fromEntries(
      Object.entries(row).filter(([name]) => name !== 'row' && !reservedNames.has(name)),
    );
    return render({ ...columns, row: { ...row } });
  };
}
