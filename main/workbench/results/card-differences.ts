/** What a model card says of single rows: where teacher and student differ, and which class is taken for which. */
import type { DifferencesAnswer } from '../../contract/result-queries.ts';
import { studentModel } from '../../contract/model-names.ts';
import { percent } from '../../contract/quantities.ts';
import { quoted, table } from './card-markdown.ts';
import { differenceSentence, mistakes, type ReportedDifferences } from './differences.ts';

/** Beyond, a matrix is too wide for a page, and the most frequent mistakes are listed. */
const widestMatrix = 12;
const mostMistakes = 20;

/** Blocks of Markdown, to be joined by empty lines. */
export function differenceBlocks(found: ReportedDifferences): string[] {
  const title = '## Where teacher and student differ';
  if ('missing' in found) return [title, `The rows could not be read again: ${found.missing}`];
  return [title, differenceSentence(found), ...examples(found), ...confusionBlocks(found)];
}

function examples({ labels, examples: rows, differing }: DifferencesAnswer): string[] {
  if (rows.length === 0) return [];
  const classes = labels.length > 0;
  const answer = (text: string, score: number): string =>
    `${quoted(text)} (${classes ? (score === 1 ? 'right' : 'wrong') : `ROUGE-L ${percent(score)}`})`;
  return [
    `${rows.length < differing ? `The first ${String(rows.length)} of them, those that the student lost before those that it won` : 'All of them'}. They are quoted from the evaluation file: think of that before you pass this report on.`,
    table(
      ['Row', 'Text as the model sees it', classes ? 'Right answer' : 'Reference', 'Teacher', 'Student'],
      rows.map(({ row, prompt, gold, first, second, firstScore, secondScore }) => [
        String(row),
        quoted(prompt),
        quoted(gold),
        answer(first, firstScore),
        answer(second, secondScore),
      ]),
    ),
  ];
}

function confusionBlocks({ labels, confusion }: DifferencesAnswer): string[] {
  const student = confusion.find(({ model }) => model === studentModel);
  if (student === undefined) return [];
  const title = '## Which class is taken for which';
  const f1 = `The student's answers. Macro F1 (the mean of the classes' F1): ${percent(student.macroF1)}.`;
  if (labels.length <= widestMatrix)
    return [
      title,
      `${f1} Rows are the right answers, columns what it answered.`,
      table(
        ['', ...labels.map((label) => quoted(label))],
        student.counts.map((row, gold) => [
          quoted(labels[gold] ?? ''),
          ...row.map((rows) => rows.toLocaleString('en')),
        ]),
      ),
    ];
  return [
    title,
    `${f1} Its most frequent mistakes:`,
    table(
      ['Right answer', 'It answered', 'Rows'],
      mistakes(labels, student.counts)
        .slice(0, mostMistakes)
        .map(({ gold, answered, rows }) => [quoted(gold), quoted(answered), rows.toLocaleString('en')]),
    ),
  ];
}
