/** How every command is built: its options, its example, its errors. */
import { Command, InvalidArgumentError } from 'commander';
import { reportError } from './report-error.ts';
import type { CommonOptions, Shell } from './shell.ts';

/** A command with `--workspace`, `--json` and `--verbose`, and an example at the end of its help. */
export function newCommand(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .option('--workspace <folder>', "folder of experiments (default: the user's data folder)")
    .option('--json', 'print the result as JSON on standard output; everything else goes to standard error')
    .option('--verbose', 'show the details of errors')
    .addHelpText('after', `\nExample:\n  tritsmith ${example}\n`);
}

/** Runs `work` and turns whatever it throws into a message and an exit code. */
export async function guarded(shell: Shell, options: CommonOptions, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    reportError(shell, thrown, options);
  }
}

export function printJson(shell: Shell, value: unknown): void {
  shell.out(`${JSON.stringify(value)}\n`);
}

/** Parser of an option that must be a whole number from `least` on. */
export function wholeNumber(least: number, most = Infinity): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(
        `It must be a whole number, at least ${String(least)}${most === Infinity ? '' : ` and at most ${String(most)}`}.`,
      );
    return value;
  };
}

/** `a,b` as a list; names with a comma in them belong in a recipe. */
export function commaList(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw new InvalidArgumentError('It must name at least one column.');
  return names;
}
