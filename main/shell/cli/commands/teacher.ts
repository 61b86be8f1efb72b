import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { wordsOf } from '../../../contract/messages/told.ts';
import type { TeacherCard } from '../../../contract/queries.ts';
import { askWorker } from '../../../jobs/host.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { date, parameters } from '../quantities.ts';
import { withWorkspace } from '../session.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { cardText } from '../teacher-card.ts';
import { textTable } from '../text-table.ts';
import { downloadCommand } from './teacher-download.ts';

export function teacherCommand(shell: Shell): Command {
  return new Command('teacher')
    .description('teachers: local models, a Hugging Face folder or a GGUF file')
    .addHelpText(
      'after',
      '\nExamples:\n  tritsmith teacher add models/Qwen3-0.6B\n  tritsmith teacher add models/SmolLM2-135M-Instruct-Q8_0.gguf\n',
    )
    .addCommand(addCommand(shell))
    .addCommand(downloadCommand(shell))
    .addCommand(listCommand(shell));
}

function addCommand(shell: Shell): Command {
  return newCommand('add', 'inspect a model and add it to the workspace', 'teacher add models/Qwen3-0.6B')
    .argument('<model>', 'folder with config.json, *.safetensors and the tokenizer, or a GGUF file')
    .option('--name <name>', 'name in the list (default: the name of the folder or file)')
    .action((folder: string, options: CommonOptions & { name?: string }) =>
      guarded(shell, options, async () => {
        const path = resolve(folder);
        const card = await askWorker(shell.port, { type: 'inspect-teacher', folder: path });
        if (options.json === true) printJson(shell, card);
        else shell.out(cardText(card));
        if (!card.supported) {
          shell.exitCode = exitCodes.badInput;
          shell.err(refusal(card));
          return;
        }
        await withWorkspace(shell, options, 'write', 'teacher add', (workspace) => {
          workspace.teachers.put(options.name ?? basename(path), card);
        });
      }),
    );
}

function listCommand(shell: Shell): Command {
  return newCommand('list', 'list the teachers of the workspace', 'teacher list').action((options: CommonOptions) =>
    guarded(shell, options, () =>
      withWorkspace(shell, options, 'read', 'teacher list', (workspace) => {
        const teachers = workspace.teachers.list();
        if (options.json === true) printJson(shell, teachers);
        else if (teachers.length === 0)
          shell.out('No teachers yet. Add one with: tritsmith teacher add <folder or GGUF file>\n');
        else
          shell.out(
            textTable(
              [
                { title: 'name' },
                { title: 'family', align: 'left' },
                { title: 'parameters' },
                { title: 'added' },
                { title: 'folder or file', align: 'left' },
              ],
              teachers.map(({ name, added, card }) => [
                name,
                card.architecture,
                parameters(card.parameters),
                date(added),
                card.folder,
              ]),
            ),
          );
      }),
    ),
  );
}

function refusal(card: TeacherCard): string {
  const supported = card.supportedArchitectures.join(', ');
  return `Error: ${card.folder} cannot be a teacher.\nWhy: ${card.problem === undefined ? 'unknown' : wordsOf(card.problem)}\nWhat to do: choose a model of one of these families: ${supported}.\n`;
}
