/** `convert <model>`: a model that is ternary as it comes, as a file for the runtime. */
import { type Command, Option } from 'commander';
import { wordsOf } from '../../../contract/messages/told.ts';
import { embeddingType, type EmbeddingType, type ExportType } from '../../../contract/recipe.ts';
import { askWorker } from '../../../jobs/host.ts';
import { calledAs } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { absolutePath, modelPath } from '../paths.ts';
import { bytes } from '../quantities.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { facts } from '../text-table.ts';

interface ConvertOptions extends CommonOptions {
  readonly type: ExportType;
  readonly embedding: EmbeddingType;
  readonly output: string;
}

export function convertCommand(shell: Shell): Command {
  return newCommand(
    'convert',
    'write a BitNet, which is ternary already, as a GGUF file that runs, without training it',
    'convert models/bitnet-b1.58-2B-4T --output bitnet.gguf',
  )
    .argument('<model>', 'folder with packed or BF16 weights of a BitNet, or a GGUF file of one')
    .addOption(
      new Option('--type <type>', 'type of the matrices').choices(['i2_s', 'q2_0', 'tq2_0', 'tq1_0']).default('i2_s'),
    )
    .addOption(new Option('--embedding <type>', 'type of the embedding').choices(embeddingType.options).default('f16'))
    .requiredOption('--output <file>', 'the file to write')
    .action((model: string, { type, embedding, ...options }: ConvertOptions) =>
      guarded(shell, options, async () => {
        const request = {
          model: modelPath(model),
          output: absolutePath(options.output),
          settings: { type, embedding },
        };
        const found = await askWorker(shell.port, { type: 'convert-model', request });
        if (options.json === true) {
          printJson(shell, found);
          return;
        }
        const { path, architecture, fileBytes, bodyBytes, checks, notes } = found;
        const size = `${bytes(fileBytes)}, linear layers ${bytes(bodyBytes)}`;
        shell.out(
          facts([
            ['File', path],
            ['Architecture', architecture],
            ['Size', size],
            ...checks.map((check) => ['Proven', wordsOf(check)] as const),
            ...notes.map((note) => ['Note', wordsOf(note)] as const),
            ['Next', ['benchmark', 'serve-model', 'inspect'].map((name) => `${calledAs()} ${name} ${path}`).join(', ')],
          ]),
        );
      }),
    );
}
