import { Command } from 'commander';
import type { CorpusReport } from '../../../contract/corpus.ts';
import { wordsOf } from '../../../contract/messages/told.ts';
import { percent } from '../../../contract/quantities.ts';
import { askWorker } from '../../../jobs/host.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { absolutePath, modelPath } from '../paths.ts';
import { bytes, count } from '../quantities.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { facts } from '../text-table.ts';

interface CheckOptions extends CommonOptions {
  readonly teacher?: string;
}

export function corpusCommand(shell: Shell): Command {
  return new Command('corpus')
    .description('corpora: running text without labels, for Stage 2 and the reconstruction')
    .addHelpText('after', '\nExample:\n  tritsmith corpus check texts --teacher models/Qwen3-0.6B\n')
    .addCommand(
      newCommand(
        'check',
        'read a corpus as training would and report its files, how much text there is, what repeats and what is left out',
        'corpus check texts --teacher models/Qwen3-0.6B',
      )
        .argument('<file or folder>', '.txt, .md, .html, .pdf, .docx, .jsonl, .parquet, or .gz of these')
        .option('--teacher <model>', 'model whose tokenizer counts the tokens')
        .action((corpus: string, options: CheckOptions) =>
          guarded(shell, options, async () => {
            const teacher = options.teacher === undefined ? {} : { teacher: modelPath(options.teacher) };
            const request = { corpus: absolutePath(corpus), ...teacher };
            const report = await askWorker(shell.port, { type: 'check-corpus', request });
            if (options.json === true) printJson(shell, report);
            else tell(shell, corpusText(report));
          }),
        ),
    );
}

const kindNames: Record<CorpusReport['kinds'][number]['kind'], string> = {
  text: 'text',
  rows: 'JSONL',
  html: 'HTML',
  pdf: 'PDF',
  docx: 'Word',
  parquet: 'Parquet',
};

export function corpusText(report: CorpusReport): string {
  const share = (characters: number): string => percent(characters / Math.max(1, report.characters));
  const kinds = report.kinds.map(
    ({ kind, files, bytes: size }) => `${count(files)} ${kindNames[kind]} (${bytes(size)})`,
  );
  const head = facts([
    ['Read', kinds.join(', ')],
    ['Text', `${count(report.documents)} documents, ${count(report.characters)} characters`],
    ...(report.tokens === null ? [] : [['Tokens', `about ${count(report.tokens)}`] as const]),
    [
      'Repeated',
      `${count(report.repeatedDocuments)} documents, ${count(report.repeatedParagraphs)} of ${count(report.paragraphs)} paragraphs (${share(report.repeatedCharacters)} of the text)`,
    ],
  ]);
  const others = report.otherFiles.map(
    ({ ending, files, examples }) =>
      `  ${count(files).padStart(7)}  ${ending} (${examples.join(', ')}${files > examples.length ? ', ...' : ''})\n`,
  );
  const lines = report.boilerplate.map(({ line, times }) => `  ${count(times).padStart(7)}  ${line.slice(0, 100)}\n`);
  const texts = report.preview.map(({ file, text }) => `--- ${file}\n${text.slice(0, 300).trim()}\n`);
  return [
    head,
    ...(report.complete
      ? []
      : ['Only the first part of the corpus was looked at; training reads as much as it needs.\n']),
    ...(others.length > 0 ? ['Left out: files of other kinds\n', ...others] : []),
    ...(report.failedFiles > 0
      ? [
          `Left out: ${count(report.failedFiles)} files that could not be read\n`,
          ...report.failures.map((each) => `  - ${wordsOf(each)}\n`),
        ]
      : []),
    ...(report.skippedRows > 0 ? [`Left out: ${count(report.skippedRows)} rows without text\n`] : []),
    ...(report.encodings.length > 0 ? ['Not in UTF-8\n'] : []),
    ...report.encodings.map(
      ({ encoding, files, examples }) =>
        `  ${count(files).padStart(7)}  ${encoding} (${examples.join(', ')}${files > examples.length ? ', ...' : ''})\n`,
    ),
    ...(report.undecodable > 0
      ? [`${count(report.undecodable)} documents have bytes that their encoding lacks; they are read as \ufffd.\n`]
      : []),
    ...(lines.length > 0 ? ['Lines that occur again and again\n', ...lines] : []),
    'What the model reads\n',
    ...texts,
  ].join('');
}
