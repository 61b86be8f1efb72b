/** `deploy`: a folder to hand over to those who use a student. */
import { type Command, Option } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { type ExportType, exportType } from '../../../contract/recipe.ts';
import { deploy } from '../../../workbench/results/deploy.ts';
import { exportOf, readExports } from '../../../workbench/results/results.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { bytes, count } from '../quantities.ts';
import { modelOption } from '../runnable-model.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';

interface DeployOptions extends CommonOptions {
  readonly output: string;
  readonly model: TrainedModel;
  readonly type?: ExportType;
}

export function deployCommand(shell: Shell): Command {
  return newCommand(
    'deploy',
    'make a folder to hand over: the file, its tokenizer, prompt and labels, a card, and examples for the programs that run it. "serve-model <folder>" answers from it, on any machine',
    'deploy latest --output ~/tickets-student',
  )
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .requiredOption('--output <folder>', 'the folder to make; it must not be there, or be empty')
    .addOption(modelOption())
    .addOption(
      new Option('--type <type>', 'of which of its files (default: the one that Tritsmith answers with)').choices(
        exportType.options,
      ),
    )
    .action((reference: string, options: DeployOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'read', 'deploy', async (workspace) => {
          const record = workspace.experiments.find(reference);
          const { model, type } = options;
          const file =
            type === undefined
              ? exportOf(workspace, record, model)
              : readExports(workspace, record).findLast((each) => each.model === model && each.type === type);
          if (file === undefined)
            throw new TritsmithError('not-found', 'export.none-of-type', { experiment: record.name, type: type! });
          const made = await deploy(workspace, record, file, absolutePath(options.output), shell.port);
          if (options.json === true) printJson(shell, made);
          else {
            shell.out(`${made.folder}: ${count(made.files.length)} files, ${bytes(made.bytes)}\n`);
            for (const name of made.files) shell.out(`  ${name}\n`);
            shell.err('README.md in it says how it is used.\n');
          }
        }),
      ),
    );
}
