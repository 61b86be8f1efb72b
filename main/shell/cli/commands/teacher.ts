import { Command } from 'commander';
import { modelName } from '../../../contract/local-path.ts';
import { renderSpoken } from '../../../contract/messages/message.ts';
import { plainNames } from '../../../contract/messages/names.ts';
import type { TeacherCard } from '../../../contract/queries.ts';
import { askWorker } from '../../../jobs/host.ts';
import { type AdapterOnBase, mergedTeacher } from '../../../workbench/teachers/merged-teacher.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { date, parameters } from '../quantities.ts';
import { modelPath } from '../paths.ts';
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

interface AddFlags extends CommonOptions {
  readonly name?: string;
  readonly base?: string;
}

function addCommand(shell: Shell): Command {
  return newCommand('add', 'inspect a model and add it to the workspace', 'teacher add models/Qwen3-0.6B')
    .argument(
      '<model>',
      'folder with config.json, *.safetensors and the tokenizer, a GGUF file, or models--… in the cache of Hugging Face',
    )
    .option('--name <name>', 'name in the list (default: the name of the folder or file)')
    .option('--base <folder>', 'the folder is a LoRA adapter of this base: merge them into a model in the workspace')
    .action((folder: string, options: AddFlags) =>
      guarded(shell, options, () =>
        options.base === undefined
          ? addFolder(shell, modelPath(folder), options)
          : addMerged(shell, { adapter: modelPath(folder), base: modelPath(options.base) }, options),
      ),
    );
}

async function addFolder(shell: Shell, folder: string, options: AddFlags): Promise<void> {
  const card = await askWorker(shell.port, { type: 'inspect-teacher', folder });
  if (options.json === true) printJson(shell, card);
  else tell(shell, cardText(card));
  if (!card.supported) {
    shell.exitCode = exitCodes.badInput;
    shell.err(refusal(card));
    return;
  }
  await withWorkspace(shell, options, 'write', 'teacher add', (workspace) => {
    workspace.teachers.put(options.name ?? modelName(folder), card);
  });
}

async function addMerged(shell: Shell, folders: AdapterOnBase, options: AddFlags): Promise<void> {
  await withWorkspace(shell, options, 'write', 'teacher add', async (workspace) => {
    const card = await mergedTeacher(folders, workspace, shell.port, options.name);
    if (options.json === true) printJson(shell, card);
    else tell(shell, cardText(card));
  });
}

function listCommand(shell: Shell): Command {
  return newCommand('list', 'list the teachers of the workspace', 'teacher list').action((options: CommonOptions) =>
    guarded(shell, options, () =>
      withWorkspace(shell, options, 'read', 'teacher list', (workspace) => {
        const teachers = workspace.teachers.list();
        if (options.json === true) printJson(shell, teachers);
        else if (teachers.length === 0)
          tell(shell, 'No teachers yet. Add one with: tritsmith teacher add <folder or GGUF file>\n');
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

function refusal({ folder, problem }: TeacherCard): string {
  const said = problem === undefined ? null : renderSpoken(problem, plainNames);
  const lines = [
    `Error: ${folder} cannot be a teacher.`,
    `Why: ${said === null ? (problem?.text ?? 'unknown') : [said.message, said.reason].filter(Boolean).join(' ')}`,
    ...(said?.remedy === undefined ? [] : [`What to do: ${said.remedy}`]),
  ];
  return `${lines.join('\n')}\n`;
}
