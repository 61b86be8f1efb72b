/** Where teacher and student differ, as `show` prints it. */
import { percent } from '../../contract/quantities.ts';
import type { DifferencesAnswer } from '../../contract/result-queries.ts';
import { studentModel } from '../../contract/model-names.ts';
import { differenceSentence, mistakes, type ReportedDifferences } from '../../workbench/results/differences.ts';
import { count } from './quantities.ts';
import { textTable } from './text-table.ts';

/** Classes beyond which a matrix does not fit a terminal, and the most frequent mistakes are listed. */
const widestMatrix = 10;
const mostMistakes = 12;
const promptCharacters = 72;

export function differencesText(found: ReportedDifferences): string {
  if ('missing' in found) return `The rows on which they differ cannot be read: ${found.missing}\n`;
  const rows = found.examples.map(({ row, prompt, gold, first, second }) => [
    String(row),
    oneLine(prompt),
    oneLine(gold),
    oneLine(first),
    oneLine(second),
  ]);
  const left = (title: string) => ({ title, align: 'left' }) as const;
  return [
    `${differenceSentence(found)}\n`,
    ...(rows.length === 0
      ? []
      : [
          textTable(
            [{ title: 'row', align: 'right' }, left('text'), left('right answer'), left('teacher'), left('student')],
            rows,
          ),
        ]),
    confusionText(found),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function confusionText({ labels, confusion }: DifferencesAnswer): string {
  const student = confusion.find(({ model }) => model === studentModel);
  if (student === undefined) return '';
  const f1 = `macro F1 ${percent(student.macroF1)}`;
  if (labels.length <= widestMatrix)
    return `What the student answered (columns) for which right answer (rows); ${f1}.\n${textTable(
      [{ title: '' }, ...labels.map((title) => ({ title: oneLine(title) }))],
      student.counts.map((row, gold) => [oneLine(labels[gold] ?? ''), ...row.map(count)]),
    )}`;
  return `What the student mistakes most; ${f1}.\n${textTable(
    [{ title: 'right answer' }, { title: 'it answered', align: 'left' }, { title: 'rows' }],
    mistakes(labels, student.counts)
      .slice(0, mostMistakes)
      .map(({ gold, answered, rows }) => [oneLine(gold), oneLine(answered), count(rows)]),
  )}`;
}

/** Fit for a terminal: no line ends or control characters, cut to a line. */
function oneLine(text: string): string {
  const plain = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return plain.length <= promptCharacters ? plain : `${plain.slice(0, promptCharacters - 1)}…`;
}
