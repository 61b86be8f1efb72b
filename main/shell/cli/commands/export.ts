import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { readComparison } from '../../../workbench/comparison.ts';
import { parseRecipe } from '../../../workbench/recipe-inputs.ts';
import { guarded, newCommand } from '../command.ts';
import { runSession, withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { assertFinished } from './finished.ts';

interface ExportOptions extends CommonOptions {
  readonly type: 'i2_s';
  readonly embedding: 'f16' | 'f32';
  readonly output?: string;
}

export function exportCommand(shell: Shell): Command {
  return newCommand(
    'export',
    'write the student of an experiment as a GGUF file and read it back',
    'export latest --embedding f16 --output student.gguf',
  )
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .addOption(new Option('--type <type>', 'tensor type of the linear layers').choices(['i2_s']).default('i2_s'))
    .addOption(new Option('--embedding <type>', 'type of the embedding').choices(['f16', 'f32']).default('f16'))
    .option('--output <file>', 'copy the file there as well')
    .action((reference: string, options: ExportOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'write', 'export', async (workspace) => {
          const record = workspace.experiments.find(reference);
          assertFinished(record, 'exported');
          const exports = [{ type: options.type, embedding: options.embedding }];
          workspace.experiments.setRecipe(record.id, parseRecipe({ ...record.recipe, exports }));
          const done = await runSession(shell, workspace, record.id, {
            ...options,
            again: ['export', 'measure-student'],
          });
          const exported = readComparison(workspace, done)?.export;
          if (options.output === undefined || done.state !== 'done') return;
          if (exported === undefined || exported === null)
            throw new TritsmithError('internal', 'The export left no file.', {
              remedy: `tritsmith show ${done.id} --logs`,
            });
          copyWhole(exported.path, resolve(options.output));
          shell.err(`Copied to ${resolve(options.output)}\n`);
        }),
      ),
    );
}

/** The target appears whole or not at all. */
function copyWhole(from: string, to: string): void {
  const temporary = `${to}.${String(process.pid)}.new`;
  try {
    copyFileSync(from, temporary);
    renameSync(temporary, to);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
