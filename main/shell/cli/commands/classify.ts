/** `classify`: labels and their scores from an exported student, as its evaluation computes them. */
import { type Command, InvalidArgumentError } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { TaskSettings } from '../../../contract/recipe.ts';
import type { ClassifyRequest, LabelScore, RuntimeMessage } from '../../../contract/helper-protocol.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { scoreTemperature } from '../../../experiment/results.ts';
import { converse } from '../../../workbench/interface/helper-host.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { percent } from '../../../contract/quantities.ts';
import { type ReadingFlags, readingOf, withFileFlags } from '../reading-options.ts';
import { cancellable, experimentModel, modelOption, runtimePort } from '../runnable-model.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';

interface ClassifyOptions extends CommonOptions, ReadingFlags {
  readonly text?: string[];
  readonly file?: string;
  readonly model: TrainedModel;
  readonly out?: string;
  readonly unsure?: number;
  readonly threads?: number;
}

type Classified = Extract<RuntimeMessage, { type: 'classified' }>;

export function classifyCommand(shell: Shell): Command {
  const command = newCommand(
    'classify',
    "label a text, or every row of a file, with an experiment's exported model: the prompt and label words of its training",
    'classify latest --text "A film to remember." --json',
  );
  return withFileFlags(command)
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .option('--text <text>', 'the text; once for each text column, in their order', (text, all: string[] = []) => [
      ...all,
      text,
    ])
    .option(
      '--file <rows>',
      "a file with the task's text columns (of every kind that training reads); without --out TSV on standard output",
    )
    .option('--out <file>', 'write the rows of the file there, with label and scores (.csv, .tsv, .jsonl, .xlsx)')
    .option('--unsure <share>', 'mark rows of --out whose likeliest label has less than this, from 0 to 1', shareOption)
    .addOption(modelOption())
    .option('--threads <number>', 'threads (default: one less than the processor has)', wholeNumber(1))
    .action((reference: string, options: ClassifyOptions) =>
      guarded(shell, options, () => classify(shell, reference, options)),
    );
}

async function classify(shell: Shell, reference: string, options: ClassifyOptions): Promise<void> {
  const { path, tokenizer, record, folder } = await experimentModel(shell, reference, options);
  const { task, seed } = record.recipe;
  const source = sourceOf(task, options);
  const { threads } = options;
  const used = threads === undefined ? {} : { threads };
  const { out, unsure } = options;
  if ((out !== undefined && !('file' in source)) || (unsure !== undefined && out === undefined))
    throw new TritsmithError('bad-input', 'cli.out-of-file');
  const output = out === undefined ? {} : { output: { path: absolutePath(out), unsureBelow: unsure ?? null } };
  const trusted = scoreTemperature(folder, options.model);
  const request = { path, tokenizer, task, seed, experiment: folder, ...trusted, source, ...output, ...used };
  await cancellable(shell, async (cancel, kill) => {
    const rows: Classified[] = [];
    for await (const message of converse(runtimePort, { type: 'classify', request }, kill, cancel)) {
      if (message.type !== 'classified') continue;
      rows.push(message);
      if (options.json !== true && 'file' in source && out === undefined)
        shell.out(rowText(message, rows.length === 1));
    }
    if (cancel.aborted) shell.exitCode = exitCodes.cancelled;
    if (out !== undefined && !cancel.aborted) {
      const doubtful = rows.filter(({ scores }) => best(scores).probability < (unsure ?? 0)).length;
      const doubts = unsure === undefined ? '' : `, ${String(doubtful)} of them unsure`;
      shell.err(`${String(rows.length)} rows labelled${doubts}: ${absolutePath(out)}\n`);
    }
    const known = rows.filter(({ expected }) => expected !== null);
    const right = known.filter(({ expected, scores }) => best(scores).label === expected).length;
    const accuracy = known.length === 0 ? null : right / known.length;
    if (options.json === true)
      printJson(shell, {
        experiment: record.id,
        model: options.model,
        rows: rows.map(({ row, expected, scores }) => ({ row, label: best(scores).label, expected, scores })),
        accuracy,
      });
    else if ('input' in source && rows[0] !== undefined) shell.out(scoreTable(rows[0].scores));
    if ('file' in source && accuracy !== null)
      shell.err(`${String(right)} of ${String(known.length)} rows as labelled: ${percent(accuracy)}\n`);
  });
}

export function shareOption(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 1.');
}

function sourceOf(task: TaskSettings, options: ClassifyOptions): ClassifyRequest['source'] {
  const { text, file } = options;
  if ((text === undefined) === (file === undefined)) throw new TritsmithError('bad-input', 'cli.text-or-file');
  if (file !== undefined) return { file: absolutePath(file), ...readingOf(options) };
  const columns = task.textColumns;
  if (text?.length !== columns.length)
    throw new TritsmithError('bad-input', 'cli.texts', { task: task.name, columns, given: text?.length ?? 0 });
  return { input: Object.fromEntries(columns.map((column, index) => [column, text[index] ?? ''])) };
}

function best(scores: readonly LabelScore[]): LabelScore {
  return scores.reduce((a, b) => (b.logProbability > a.logProbability ? b : a));
}

function scoreTable(scores: readonly LabelScore[]): string {
  return textTable(
    [{ title: 'label' }, { title: 'probability' }, { title: 'log-probability' }],
    scores
      .toSorted((a, b) => b.logProbability - a.logProbability)
      .map(({ label, probability, logProbability }) => [label, percent(probability, 2), logProbability.toFixed(4)]),
  );
}

/** One line of TSV, before the first one the header. */
function rowText({ row, expected, scores }: Classified, first: boolean): string {
  const cell = (text: string): string => text.replace(/[\t\r\n]+/g, ' ');
  const line = (cells: readonly string[]): string => `${cells.map(cell).join('\t')}\n`;
  const header = line(['row', 'label', 'expected', ...scores.map(({ label }) => `p(${label})`)]);
  const values = scores.map(({ probability }) => probability.toFixed(6));
  return (first ? header : '') + line([String(row), best(scores).label, expected ?? '', ...values]);
}
