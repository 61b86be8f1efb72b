/** Flags that say how a file becomes labels and rows: the same for `task check` and `run`. */
import type { Command } from 'commander';
import { newestRules, type TaskSettings } from '../../contract/recipe.ts';
import { commaList } from './command.ts';

export interface RowOptions {
  readonly mergeLabels?: boolean;
  /** False: no value stands for no label. */
  readonly unlabelled?: string[] | false;
  readonly groupColumn?: string;
  readonly timeColumn?: string;
}

export function withRowOptions(command: Command): Command {
  return command
    .option('--merge-labels', 'labels that differ in case, blanks or the way a number is written are one class')
    .option('--unlabelled <a,b>', 'label values of rows that nobody has labelled (default: recognised)', commaList)
    .option('--no-unlabelled', 'every label value is a class')
    .option('--group-column <name>', 'without --dev: rows with the same value are held out together')
    .option('--time-column <name>', 'without --dev: the newest rows by this column are held out');
}

type RowSettings = Pick<TaskSettings, 'rules' | 'mergeLabels' | 'unlabelled' | 'groupColumn' | 'timeColumn'>;

export function rowSettings({ mergeLabels, unlabelled, groupColumn, timeColumn }: RowOptions): RowSettings {
  return {
    rules: newestRules,
    ...(mergeLabels === undefined ? {} : { mergeLabels }),
    ...(Array.isArray(unlabelled) ? { unlabelled } : unlabelled === false ? { unlabelled: [] } : {}),
    ...(groupColumn === undefined ? {} : { groupColumn }),
    ...(timeColumn === undefined ? {} : { timeColumn }),
  };
}
