import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { embeddingType, type EmbeddingType, exportType, type ExportType } from '../../../contract/recipe.ts';
import { baselineModel } from '../../../contract/model-names.ts';
import { readComparison } from '../../../workbench/results/comparison.ts';
import { parseRecipe } from '../../../workbench/experiments/recipe-inputs.ts';
import { tell } from '../called.ts';
import { guarded, newCommand } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { exportProofs } from '../export-proofs.ts';
import { runSession, withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { assertFinished } from './finished.ts';

interface ExportOptions extends CommonOptions {
  readonly type: ExportType;
  readonly embedding: EmbeddingType;
  readonly pruneVocabulary?: boolean;
  readonly output?: string;
}

export function exportCommand(shell: Shell): Command {
  return newCommand(
    'export',
    'write the student of an experiment as a file for a runtime, and read it back',
    'export latest --type i2_s --embedding q6_k --output student.gguf',
  )
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .addOption(
      new Option(
        '--type <type>',
        'i2_s: Tritsmith, bitnet.cpp; q2_0: Tritsmith, llama.cpp of July 2026 or later, widths of a multiple of 64; tq2_0: Tritsmith, llama.cpp; tq1_0: as tq2_0, smallest, slower; t3_4: Tritsmith alone, 1.25 bits a weight, of students trained with exactly-3:4; f16, q8_0, q4_0: the teacher, to compare',
      )
        .choices(exportType.options)
        .default('i2_s'),
    )
    .addOption(
      new Option(
        '--embedding <type>',
        'type of the embedding; the smallest file has q6_k, with rows that 256 does not divide q8_0',
      )
        .choices(embeddingType.options)
        .default('f16'),
    )
    .option('--prune-vocabulary', 'keep only the tokens that the task can use: often the greatest saving of all')
    .option('--output <path>', 'copy the file there as well')
    .action((reference: string, options: ExportOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'write', 'export', async (workspace) => {
          const record = workspace.experiments.find(reference);
          assertFinished(record, 'exported');
          const { type, embedding, pruneVocabulary } = options;
          assertHolds(type, embedding);
          const wanted = { type, embedding, ...(pruneVocabulary === true ? { pruneVocabulary } : {}) };
          const others = record.recipe.exports.filter((each) => JSON.stringify(each) !== JSON.stringify(wanted));
          // First, because the table names the first one.
          const recipe = parseRecipe({ ...record.recipe, exports: [wanted, ...others] });
          workspace.experiments.setRecipe(record.id, recipe);
          const again = record.stages
            .map((stage) => stage.kind)
            .filter((kind) => kind === 'export' || kind.startsWith('measure-'));
          const done = await runSession(shell, workspace, record.id, { ...options, again });
          if (done.state !== 'done') return;
          const found = readComparison(workspace, done);
          const failed = found?.failedExports?.find((each) => each.type === type && each.embedding === embedding);
          if (failed !== undefined)
            throw new TritsmithError('unsupported', 'export.failed', { type, problem: failed.problem });
          const file = found?.exports?.findLast(
            (each) =>
              each.model !== baselineModel &&
              each.type === type &&
              (each.embedding ?? 'f16') === embedding &&
              (each.pruning != null) === (pruneVocabulary === true),
          );
          if (file !== undefined && options.json !== true) tell(shell, `\n${exportProofs([file])}`);
          if (options.output === undefined) return;
          const path = file === undefined ? found?.export?.path : join(workspace.experimentFolder(done.id), file.path);
          if (path === undefined) throw new TritsmithError('internal', 'cli.no-export', { id: done.id });
          copyWhole(path, absolutePath(options.output));
          shell.err(`Copied to ${absolutePath(options.output)}\n`);
        }),
      ),
    );
}

/** Quantised embeddings are a matter of GGUF. */
function assertHolds(type: ExportType, embedding: EmbeddingType): void {
  if ((type !== 'hf' && type !== 'onnx') || embedding === 'f16' || embedding === 'f32') return;
  throw new TritsmithError('bad-input', 'cli.no-such-embedding', { type, embedding });
}

/** The target, a file or a folder, appears whole or not at all. */
function copyWhole(from: string, to: string): void {
  const temporary = `${to}.${String(process.pid)}.new`;
  try {
    cpSync(from, temporary, { recursive: true });
    renameSync(temporary, to);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}
