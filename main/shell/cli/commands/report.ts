/** `report`: the model card of an experiment, as the interface saves it. */
import type { Command } from 'commander';
import { writeTextAtomicallySync } from '../../../basics/atomic-file.ts';
import { htmlCard, markdownCard } from '../../../workbench/results/model-card.ts';
import { readResults } from '../../../workbench/results/results.ts';
import { reportedDifferences } from '../../../workbench/results/differences.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { runtimePort } from '../runnable-model.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';

interface ReportOptions extends CommonOptions {
  readonly output?: string;
  readonly rows: number;
}

export function reportCommand(shell: Shell): Command {
  return newCommand(
    'report',
    'write the model card of an experiment: results, paired tests, recipe, hashes, machine, versions',
    'report latest --output report.html',
  )
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .option('--output <path>', 'a .html file, else Markdown; without it Markdown is printed')
    .option(
      '--rows <number>',
      'most rows of the evaluation file that it quotes; 0: none, and no matrix',
      wholeNumber(0),
      20,
    )
    .action((reference: string, options: ReportOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'read', 'report', async (workspace) => {
          const record = workspace.experiments.find(reference);
          const results = readResults(workspace, record);
          const { evaluations } = results;
          const differences = await reportedDifferences(runtimePort, workspace, record, evaluations, options.rows);
          const found = { ...results, differences };
          const html = /\.html?$/i.test(options.output ?? '');
          const text = html ? htmlCard(record, found) : markdownCard(record, found);
          const file = options.output === undefined ? null : absolutePath(options.output);
          if (file !== null) writeTextAtomicallySync(file, text);
          if (options.json === true)
            printJson(shell, { experiment: record.id, format: html ? 'html' : 'markdown', file, text });
          else if (file === null) shell.out(text);
          else shell.err(`Written to ${file}\n`);
        }),
      ),
    );
}
