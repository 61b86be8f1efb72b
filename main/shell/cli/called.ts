/** What people type to reach this command line: texts say `tritsmith run …`, a terminal is told the words that work there. */

/** The first words after `tritsmith` in texts that are meant to be typed; `program.ts` has a command for each. */
export const commandNames = [
  ...['demo', 'doctor', 'teacher', 'task', 'corpus', 'run', 'resume', 'remote'],
  ...['list', 'show', 'compare', 'report', 'evaluate'],
  ...['export', 'convert', 'inspect', 'generate', 'classify', 'review', 'serve-model', 'deploy', 'benchmark'],
  'components',
];

const toType = new RegExp(`(?<![\\w./\\\\-])tritsmith (?=(${commandNames.join('|')}|\\[options\\])(?![\\w-]))`, 'g');

/**
 * How this process was called: by the script of an archive, which tells its own name in TRITSMITH_COMMAND, or by npm in a clone.
 * @returns with quotes where a shell needs them
 */
export function calledAs(env: NodeJS.ProcessEnv = process.env, system: string = process.platform): string {
  const script = env['TRITSMITH_COMMAND'] ?? '';
  if (script === '')
    return ['tritsmith', 'demo'].includes(env['npm_lifecycle_event'] ?? '') ? 'npm run tritsmith --' : 'tritsmith';
  if (/^[\w./\\:-]+$/.test(script)) return script;
  return system === 'win32' ? `"${script}"` : `'${script.replaceAll("'", `'\\''`)}'`;
}

/** A text of ours with its commands as they are typed here. */
export const asCalled = (text: string, command = calledAs()): string => text.replaceAll(toType, () => `${command} `);

/** Writes a text of ours to standard output, where JSON and what models say go as they are. */
export const tell = ({ out }: { out: (text: string) => void }, text: string): void => {
  out(asCalled(text));
};
