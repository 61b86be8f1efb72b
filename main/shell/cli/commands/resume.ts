import type { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { isResumable } from '../../../workbench/experiments/experiment-state.ts';
import { guarded, newCommand } from '../command.ts';
import { runSession, withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';

export function resumeCommand(shell: Shell): Command {
  return newCommand('resume', 'go on with an experiment from its last checkpoint', 'resume latest')
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .action((reference: string, options: CommonOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'write', 'resume', async (workspace) => {
          const record = workspace.experiments.find(reference);
          if (!isResumable(record.state))
            throw new TritsmithError('bad-input', 'cli.nothing-to-resume', { id: record.id, state: record.state });
          await runSession(shell, workspace, record.id, options);
        }),
      ),
    );
}
