/** `review`: how a student fares on rows that came after its training. */
import { type Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { RuntimeMessage } from '../../../contract/helper-protocol.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { wordsOf } from '../../../contract/messages/told.ts';
import type { NewRowsReview } from '../../../contract/new-rows.ts';
import { percent } from '../../../contract/quantities.ts';
import { converse } from '../../../workbench/interface/helper-host.ts';
import { calledAs } from '../called.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { type ReadingFlags, readingOf, withFileFlags } from '../reading-options.ts';
import { cancellable, experimentModel, modelOption, runtimePort } from '../runnable-model.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';
import { shareOption } from './classify.ts';

interface ReviewOptions extends CommonOptions, ReadingFlags {
  readonly file: string;
  readonly model: TrainedModel;
  readonly unsure: number;
  readonly rows: number;
}

export function reviewCommand(shell: Shell): Command {
  const command = newCommand(
    'review',
    'see how a student fares on rows that came after its training: as good as then, asked for the same classes, unsure of how many, labels that it does not know. "run --like" trains on them too',
    'review latest --file tickets-of-this-month.xlsx',
  );
  return withFileFlags(command)
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .requiredOption('--file <file>', 'the new rows; labels are compared where they are there')
    .addOption(modelOption())
    .option('--unsure <probability>', 'answers whose label has less count as unsure', shareOption, 0.6)
    .option('--rows <number>', 'most wrong answers to quote', wholeNumber(0), 10)
    .action((reference: string, options: ReviewOptions) =>
      guarded(shell, options, () => review(shell, reference, options)),
    );
}

async function review(shell: Shell, reference: string, options: ReviewOptions): Promise<void> {
  const { path, folder, record } = await experimentModel(shell, reference, options);
  const { model, unsure, rows } = options;
  const file = absolutePath(options.file);
  const request = { experiment: folder, model, path, file, ...readingOf(options), unsureBelow: unsure, examples: rows };
  await cancellable(shell, async (cancel, kill) => {
    let found: NewRowsReview | null = null;
    for await (const message of converse(runtimePort, { type: 'review', request }, kill, cancel)) {
      if (message.type === 'reviewed') found = message.review;
      else tellProgress(shell, message);
    }
    if (shell.terminal) shell.err('\r\u001b[K');
    if (found === null) {
      if (!cancel.aborted) throw new TritsmithError('internal', 'helper.no-answer', { question: 'review' });
      shell.exitCode = exitCodes.cancelled;
      return;
    }
    if (options.json === true) printJson(shell, { experiment: record.id, model, file, ...found });
    else shell.out(reviewText(found, record.id, options.file));
  });
}

function tellProgress(shell: Shell, message: RuntimeMessage): void {
  if (message.type === 'reviewing' && shell.terminal) shell.err(`\r\u001b[K${String(message.rows)} rows`);
}

function reviewText(found: NewRowsReview, id: string, file: string): string {
  const total = found.classes.reduce((sum, { answeredThen }) => sum + answeredThen, 0);
  const classes = textTable(
    [
      { title: 'label', align: 'left' },
      { title: 'answers then' },
      { title: 'answers now' },
      { title: 'labelled so' },
      { title: 'of these right' },
    ],
    found.classes.map(({ label, answeredThen, answeredNow, labelled, right }) => [
      label,
      total === 0 ? '' : percent(answeredThen / total),
      percent(answeredNow / found.rows),
      labelled === 0 ? '' : String(labelled),
      labelled === 0 ? '' : percent(right / labelled),
    ]),
  );
  const mistakes = found.mistakes.map(
    ({ row, text, label, answer, probability }) =>
      `  row ${String(row)}: ${answer} (${percent(probability)}), labelled ${label}: ${text.replaceAll(/\s+/g, ' ').slice(0, 120)}\n`,
  );
  return [
    ...found.findings.map((finding) => `${wordsOf(finding)}\n`),
    `\n${classes}`,
    mistakes.length === 0 ? '' : `\nWrong answers:\n${mistakes.join('')}`,
    `\nTo train on these rows too: ${calledAs()} run --like ${id} --add ${file}\n`,
  ].join('');
}
