import type { Command } from 'commander';
import { guarded, newCommand } from '../command.ts';
import { runSession, withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { assertFinished } from './finished.ts';

export function evaluateCommand(shell: Shell): Command {
  return newCommand(
    'evaluate',
    'measure the models of an experiment again on its evaluation rows; where llama.cpp is installed, the 4-bit teacher too',
    'evaluate latest',
  )
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .action((reference: string, options: CommonOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'write', 'evaluate', async (workspace) => {
          const record = workspace.experiments.find(reference);
          assertFinished(record, 'evaluated again');
          const again = record.stages
            .map((stage) => stage.kind)
            .filter((kind) => kind === 'evaluate' || kind === 'four-bit' || kind.startsWith('measure-'));
          await runSession(shell, workspace, record.id, { ...options, again });
        }),
      ),
    );
}
