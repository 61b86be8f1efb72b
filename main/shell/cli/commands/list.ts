import { studentModel } from '../../../contract/model-names.ts';
import type { Command } from 'commander';
import { readComparison } from '../../../workbench/results/comparison.ts';
import { asCalled } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { percent } from '../../../contract/quantities.ts';
import { date, elapsed } from '../quantities.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { tableOf } from '../text-table.ts';

export function listCommand(shell: Shell): Command {
  return newCommand('list', 'list the experiments of the workspace, newest first', 'list').action(
    (options: CommonOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'read', 'list', (workspace) => {
          const experiments = workspace.experiments.list().map((record) => ({
            id: record.id,
            name: record.name,
            state: record.state,
            preset: record.recipe.preset,
            created: record.created,
            seconds: record.stages.reduce((sum, stage) => sum + stage.seconds, 0),
            accuracy:
              record.state === 'done'
                ? (readComparison(workspace, record)?.rows.find((row) => row.name === studentModel)?.accuracy ?? null)
                : null,
          }));
          if (options.json === true) printJson(shell, experiments);
          else
            shell.out(
              tableOf(
                experiments,
                [
                  { title: 'experiment', of: ({ id }) => id },
                  { title: 'state', align: 'left', of: ({ state }) => state },
                  { title: 'preset', align: 'left', of: ({ preset }) => preset },
                  { title: 'created', align: 'left', of: ({ created }) => date(created) },
                  { title: 'time', of: ({ seconds }) => elapsed(seconds) },
                  { title: 'student', of: ({ accuracy }) => (accuracy === null ? '-' : percent(accuracy)) },
                ],
                asCalled('No experiments yet. Try: tritsmith demo\n'),
              ),
            );
        }),
      ),
  );
}
