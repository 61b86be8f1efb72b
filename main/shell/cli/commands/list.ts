import { studentModel } from '../../../contract/model-names.ts';
import type { Command } from 'commander';
import { readComparison } from '../../../workbench/results/comparison.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { percent } from '../../../contract/quantities.ts';
import { date, elapsed } from '../quantities.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';

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
          else if (experiments.length === 0) tell(shell, 'No experiments yet. Try: tritsmith demo\n');
          else
            shell.out(
              textTable(
                [
                  { title: 'experiment' },
                  { title: 'state', align: 'left' },
                  { title: 'preset', align: 'left' },
                  { title: 'created', align: 'left' },
                  { title: 'time' },
                  { title: 'student' },
                ],
                experiments.map(({ id, state, preset, created, seconds, accuracy }) => [
                  id,
                  state,
                  preset,
                  date(created),
                  elapsed(seconds),
                  accuracy === null ? '-' : percent(accuracy),
                ]),
              ),
            );
        }),
      ),
  );
}
