import type { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { ExperimentRecord } from '../../../contract/experiments.ts';
import type { Comparison } from '../../../contract/results.ts';
import { studentModel } from '../../../contract/model-names.ts';
import { readComparison } from '../../../workbench/results/comparison.ts';
import { recipeDifferences } from '../../../workbench/experiments/recipe-differences.ts';
import type { Workspace } from '../../../workbench/workspace/workspace.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { comparisonTable } from '../comparison-table.ts';
import { percent } from '../../../contract/quantities.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';

export function compareCommand(shell: Shell): Command {
  return newCommand(
    'compare',
    'put two experiments side by side: results, and what differs in their recipes',
    'compare sst2-1 sst2-2',
  )
    .argument('<a>', 'an experiment')
    .argument('<b>', 'another')
    .action((first: string, second: string, options: CommonOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'read', 'compare', (workspace) => {
          const [a, b] = [evaluated(workspace, first), evaluated(workspace, second)];
          const differences = recipeDifferences([a.record.recipe, b.record.recipe]);
          if (options.json === true) {
            printJson(shell, {
              a: { experiment: a.record.id, ...a.comparison },
              b: { experiment: b.record.id, ...b.comparison },
              differences: differences.map(({ path, values }) => ({ path, a: values[0], b: values[1] })),
            });
            return;
          }
          for (const { record, comparison } of [a, b])
            shell.out(`${record.id}\n${comparisonTable(comparison, record.recipe.task.kind)}\n`);
          shell.out(verdict(a, b));
          shell.out(
            differences.length === 0
              ? 'The recipes are the same.\n'
              : `\n${textTable(
                  [{ title: 'recipe' }, { title: a.record.id, align: 'left' }, { title: b.record.id, align: 'left' }],
                  differences.map(({ path, values }) => [path, ...values.map(short)]),
                )}`,
          );
        }),
      ),
    );
}

interface Evaluated {
  record: ExperimentRecord;
  comparison: Comparison;
}

function evaluated(workspace: Workspace, reference: string): Evaluated {
  const record = workspace.experiments.find(reference);
  const comparison = readComparison(workspace, record);
  if (comparison === null)
    throw new TritsmithError('bad-input', 'cli.no-results', { id: record.id, state: record.state });
  return { record, comparison };
}

function verdict(a: Evaluated, b: Evaluated): string {
  const [left, right] = [a, b].map(({ comparison }) => comparison.rows.find((row) => row.name === studentModel));
  if (left === undefined || right === undefined) return '';
  const apart = left.ci95[1] < right.ci95[0] || right.ci95[1] < left.ci95[0];
  const difference = right.accuracy - left.accuracy;
  return (
    `Student of ${b.record.id}: ${difference >= 0 ? '+' : ''}${percent(difference)} points against ${a.record.id}; ` +
    `the intervals ${apart ? 'do not overlap' : 'overlap, so this may be chance'}.\n`
  ).replace(' % points', ' points');
}

function short(value: unknown): string {
  const text = value === undefined ? '-' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
