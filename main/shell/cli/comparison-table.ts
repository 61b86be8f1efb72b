/** The result that everything is for: teacher, BitNet-SFT and BitDistill student side by side. */
import { wordsOf } from '../../contract/messages/told.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { Comparison } from '../../contract/results.ts';
import { percent } from '../../contract/quantities.ts';
import { bytes, count, elapsed } from './quantities.ts';
import { textTable } from './text-table.ts';

const names = {
  teacher: 'teacher',
  'teacher-q4_0': 'teacher, 4-bit',
  'bitnet-sft': 'BitNet-SFT',
  bitdistill: 'BitDistill',
} as const;
const missing = '-';

/** One line a model, with units; body (the linear layers) and whole file apart; what was not measured is a dash. */
export function comparisonLines(rows: Comparison['rows'], kind: Recipe['task']['kind']): string {
  return textTable(
    [
      { title: 'model' },
      { title: kind === 'classification' ? 'accuracy' : 'ROUGE-L' },
      { title: '95 % interval' },
      { title: 'body' },
      { title: 'whole file' },
      { title: 'memory' },
      { title: 'prefill' },
      { title: 'decode' },
    ],
    rows.map((row) => [
      names[row.name],
      percent(row.accuracy),
      `${(row.ci95[0] * 100).toFixed(1)} - ${(row.ci95[1] * 100).toFixed(1)} %`,
      row.bodyBytes > 0 ? bytes(row.bodyBytes) : missing,
      row.fileBytes > 0 ? bytes(row.fileBytes) : missing,
      row.rssBytes === null ? missing : bytes(row.rssBytes),
      speed(row.prefillTokensPerSecond),
      speed(row.decodeTokensPerSecond),
    ]),
  );
}

/** The lines of the models, how they were measured, and the exported file. */
export function comparisonTable(comparison: Comparison, kind: Recipe['task']['kind']): string {
  const { rows, export: exported, seconds } = comparison;
  const failed = (comparison.failedExports ?? []).map(
    ({ model, type, problem }) => `Not exported (${names[model]} as ${type}): ${wordsOf(problem)}\n`,
  );
  const file =
    exported === null
      ? 'Nothing was exported.'
      : `${exported.verified ? 'Exported and read back' : 'Exported, NOT verified'} (${exported.type}): ${exported.path}`;
  return `${comparisonLines(rows, kind)}\nSpeeds on one thread: a prompt of 128 tokens, then 64 decoded.\nTime: ${elapsed(seconds)}\n${file}\n${failed.join('')}`;
}

function speed(tokensPerSecond: number | null): string {
  return tokensPerSecond === null ? missing : `${count(tokensPerSecond)} tok/s`;
}
