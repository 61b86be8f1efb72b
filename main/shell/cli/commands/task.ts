import { Command, Option } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { wordsOf } from '../../../contract/messages/told.ts';
import type { SplitReport, TaskReport } from '../../../contract/queries.ts';
import { askWorker } from '../../../jobs/host.ts';
import { tell } from '../called.ts';
import { commaList, guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath, modelPath } from '../paths.ts';
import { type RowOptions, rowSettings, withRowOptions } from '../row-options.ts';
import { percent } from '../../../contract/quantities.ts';
import { bytes, count } from '../quantities.ts';
import { type ReadingFlags, readingInWords, readingOf, withReadingFlags } from '../reading-options.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { facts } from '../text-table.ts';

interface CheckOptions extends CommonOptions, RowOptions, ReadingFlags {
  readonly dev?: string;
  readonly teacher?: string;
  readonly textColumns?: string[];
  readonly labelColumn?: string;
  readonly kind?: 'classification' | 'generation';
  readonly maxLength?: number;
  readonly seed?: number;
  readonly chatTemplate?: boolean;
}

export function taskCommand(shell: Shell): Command {
  return new Command('task')
    .description('tasks: labelled or question-and-answer rows')
    .addHelpText('after', '\nExample:\n  tritsmith task check train.tsv --dev dev.tsv --teacher models/Qwen3-0.6B\n')
    .addCommand(checkCommand(shell));
}

function checkCommand(shell: Shell): Command {
  const command = newCommand(
    'check',
    'read a task as training would and report columns, labels, lengths and lost rows; exits with 2 if it cannot be trained on',
    'task check train.tsv --dev dev.tsv --teacher models/Qwen3-0.6B',
  );
  withReadingFlags(command)
    .argument('<file>', 'TSV, CSV, JSONL, JSON, Parquet, .xlsx, .ods, SQLite, or a folder of text files by class')
    .option('--dev <file>', 'evaluation rows, checked against the training rows')
    .option('--teacher <model>', 'model whose tokenizer counts the tokens (default: lengths in characters)')
    .option('--text-columns <a,b>', 'columns that make the prompt (default: guessed)', commaList)
    .option('--label-column <name>', 'class or reference answer (default: guessed)')
    .addOption(new Option('--kind <kind>', 'default: guessed').choices(['classification', 'generation']))
    .option('--chat-template', "ask as the teacher's chat template does (needs --teacher)")
    .option('--max-length <tokens>', 'longest prompt plus answer (default: 512)', wholeNumber(8))
    .option('--seed <number>', 'seed of the run, which draws the rows that are held out (default: 1)', wholeNumber(0));
  return withRowOptions(command).action((file: string, options: CheckOptions) =>
    guarded(shell, options, async () => {
      const settings = {
        train: absolutePath(file),
        ...rowSettings(options),
        ...(options.dev === undefined ? {} : { dev: absolutePath(options.dev) }),
        ...(options.textColumns === undefined ? {} : { textColumns: options.textColumns }),
        ...(options.labelColumn === undefined ? {} : { labelColumn: options.labelColumn }),
        ...(options.kind === undefined ? {} : { kind: options.kind }),
        ...(options.maxLength === undefined ? {} : { maxLength: options.maxLength }),
        ...readingOf(options),
      };
      const more = {
        ...(options.teacher === undefined ? {} : { teacher: modelPath(options.teacher) }),
        ...(options.seed === undefined ? {} : { seed: options.seed }),
      };
      let report = await askWorker(shell.port, { type: 'check-task', request: { settings, ...more } });
      if (options.chatTemplate === true) {
        const template = requiredChatTemplate(report, more.teacher);
        const request = { settings: { ...settings, template }, ...more };
        report = await askWorker(shell.port, { type: 'check-task', request });
      }
      if (!report.trainable) shell.exitCode = exitCodes.badInput;
      if (options.json === true) printJson(shell, report);
      else tell(shell, reportText(report));
    }),
  );
}

/** @throws TritsmithError `bad-input` where the teacher has none */
export function requiredChatTemplate({ chatTemplate }: TaskReport, teacher: string | undefined): string {
  if (chatTemplate !== null) return chatTemplate;
  throw teacher === undefined
    ? new TritsmithError('bad-input', 'cli.chat-template-of-no-teacher')
    : new TritsmithError('bad-input', 'template.no-chat', { teacher });
}

const chatNames: Record<NonNullable<TaskReport['chats']>['format'], string> = {
  messages: 'chats (messages)',
  sharegpt: 'chats (ShareGPT)',
  alpaca: 'instructions (Alpaca)',
  preference: 'preferences, of which the chosen side is read',
  'prompt-completion': 'prompts and completions',
  'question-answer': 'questions and answers',
};

export function reportText(report: TaskReport): string {
  const { mapping } = report;
  const guessed = (what: (typeof mapping.guessed)[number]): string =>
    mapping.guessed.includes(what) ? ' (guessed)' : '';
  const head = facts([
    ['Columns', report.columns.join(', ')],
    ...(report.chats === null ? [] : [['Holds', chatNames[report.chats.format]] as const]),
    ['Kind', mapping.kind + guessed('kind')],
    ['Text', mapping.textColumns.join(', ') + guessed('textColumns')],
    ['Label', mapping.labelColumn + guessed('labelColumn')],
  ]);
  const verdict = report.trainable
    ? 'This task can be trained on.\n'
    : `This task cannot be trained on:\n${report.blockers.map((blocker) => `  - ${wordsOf(blocker)}\n`).join('')}`;
  return [
    head,
    splitText('Training rows', report.train, mapping.kind),
    ...(report.dev === null ? [] : [splitText('Evaluation rows', report.dev, mapping.kind)]),
    report.warnings.map((warning) => `Note: ${wordsOf(warning)}\n`).join('') + verdict,
  ].join('\n');
}

function splitText(title: string, split: SplitReport, kind: TaskReport['mapping']['kind']): string {
  const { lengths } = split;
  const most = Math.max(1, ...lengths.bins.map((bin) => bin.rows));
  const labels = split.labels
    .slice(0, 10)
    .map(
      ({ label, rows }) =>
        `  ${label.slice(0, 40).padEnd(20)} ${count(rows).padStart(9)}  ${percent(rows / Math.max(1, split.usableRows))}\n`,
    );
  const more = split.distinctLabels - labels.length;
  const histogram = lengths.bins.map(
    ({ upTo, rows }) =>
      `  up to ${String(upTo).padStart(6)} ${count(rows).padStart(9)}  ${'#'.repeat(Math.ceil((rows / most) * 30))}\n`,
  );
  const problems = split.problems.map(
    ({ effect, rows, explanation, examples }) =>
      `  ${effect.padEnd(8)} ${count(rows).padStart(7)}  ${wordsOf(explanation)} (row ${examples.join(', ')}${rows > examples.length ? ', ...' : ''})\n`,
  );
  const reading = readingInWords(split.reading);
  return [
    `${title}: ${split.path}\n`,
    `  ${split.format}, ${bytes(split.bytes)}, ${count(split.rows)} rows, ${count(split.usableRows)} usable\n`,
    ...(reading === null ? [] : [`  Read as: ${reading}\n`]),
    ...(kind === 'classification'
      ? ['Labels\n', ...labels, ...(more > 0 ? [`  and ${String(more)} more\n`] : [])]
      : []),
    `Lengths in ${lengths.unit}: median ${String(lengths.median)}, 95 % up to ${String(lengths.p95)}, longest ${String(lengths.longest)}\n`,
    ...histogram,
    ...(problems.length > 0 ? ['Rows to look at\n', ...problems] : []),
  ].join('');
}
