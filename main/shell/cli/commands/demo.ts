import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { guarded, newCommand } from '../command.ts';
import { runSession, withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { recipeFromFile } from './run.ts';

const recipePath = fileURLToPath(new URL('../../../../resources/demo/recipe.json', import.meta.url));

export function demoCommand(shell: Shell): Command {
  return newCommand(
    'demo',
    'run the embedded demo from teacher to exported student, in a few minutes',
    'demo --json',
  ).action((options: CommonOptions) =>
    guarded(shell, options, () =>
      withWorkspace(shell, options, 'write', 'demo', async (workspace) => {
        await runSession(shell, workspace, recipeFromFile(recipePath), options);
      }),
    ),
  );
}
