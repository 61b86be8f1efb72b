/** The report of an experiment as a model card: what was made, from what, how good and how fast it is, on which machine. */
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { bytesInWords } from '../../contract/quantities.ts';
import type { ExperimentResults } from '../../contract/views.ts';
import { differenceBlocks } from './card-differences.ts';
import { percent, table } from './card-markdown.ts';
import type { ReportedDifferences } from './differences.ts';

const names = {
  teacher: 'Teacher (full precision)',
  'teacher-q4_0': 'Teacher in 4 bits (Q4_0, llama.cpp)',
  'bitnet-sft': 'BitNet-SFT (ternary, fine-tuned only)',
  bitdistill: 'Student (BitDistill)',
};

export type CardResults = Omit<ExperimentResults, 'job'> & {
  /** Null: the card says nothing of single rows. */
  readonly differences: ReportedDifferences | null;
};

export function markdownCard(record: ExperimentRecord, results: CardResults): string {
  const { recipe } = record;
  const metric = results.evaluations[0]?.metric === 'rougeL' ? 'ROUGE-L' : 'Accuracy';
  const rows = results.comparison?.rows ?? [];
  const head = [
    'Model',
    metric,
    '95 % interval',
    'Linear layers',
    'Whole file',
    'Resident',
    'Prefill tok/s',
    'Decode tok/s',
    'One request',
  ];
  const lines = rows.map((row) => [
    names[row.name],
    percent(row.accuracy),
    `${percent(row.ci95[0])} to ${percent(row.ci95[1])}`,
    bytesInWords(row.bodyBytes),
    bytesInWords(row.fileBytes),
    row.rssBytes === null ? 'not measured' : bytesInWords(row.rssBytes),
    rate(row.prefillTokensPerSecond),
    rate(row.decodeTokensPerSecond),
    row.requestSeconds === null ? 'not measured' : `${(row.requestSeconds * 1000).toPrecision(3)} ms`,
  ]);
  const student = results.evaluations.find(({ model }) => model === 'bitdistill');
  const request = results.comparison?.request ?? null;
  return [
    `# ${record.name}`,
    '',
    `A 1.58-bit ternary student for the task "${recipe.task.name}", made by Tritsmith ${record.versions['tritsmith'] ?? ''} from \`${baseName(recipe.teacher)}\` by BitNet Distillation.`,
    '',
    '## Results',
    '',
    results.comparison === null ? 'Nothing has been evaluated yet.' : table(head, lines),
    ...(student === undefined ? [] : ['', evaluatedOn(student)]),
    ...pairedSentences(results.evaluations).flatMap((sentence) => ['', sentence]),
    ...(request === null
      ? []
      : [
          '',
          `One request: ${String(request.promptTokens)} prompt tokens (the median of the held-out rows), ${request.answerTokens > 1 ? `${String(request.answerTokens)} answer tokens` : 'the scores of the labels'}. Speeds are medians of five rounds on one thread, a prompt of 128 tokens and 64 decoded ones.`,
        ]),
    '',
    '## All scores',
    '',
    table(
      ['Model', 'Score', 'Value'],
      results.evaluations.flatMap(({ model, value, crossEntropy, scores }) => [
        [names[model], metric, percent(value)],
        [names[model], 'cross-entropy, nats per token', crossEntropy.toFixed(3)],
        ...Object.entries(scores)
          .filter(([name]) => !/^(differenceFrom|mcnemarP)/.test(name))
          .map(([name, score]) => [names[model], name, score.toPrecision(4)]),
      ]),
    ),
    '',
    'Body is the packed linear layers alone; the whole file also holds the embedding, the norms and the tokenizer.',
    ...(results.differences === null ? [] : differenceBlocks(results.differences).flatMap((block) => ['', block])),
    '',
    '## Files',
    '',
    table(
      ['File', 'SHA-256', 'Bytes'],
      record.artifacts.map(({ path, sha256, bytes: size }) => [
        `\`${path}\``,
        `\`${sha256}\``,
        size.toLocaleString('en'),
      ]),
    ),
    '',
    '## Machine and versions',
    '',
    table(
      ['What', 'Which'],
      [
        ['Processor', `${record.machine.processor}, ${String(record.machine.cores)} cores`],
        ['Memory', bytesInWords(record.machine.memoryBytes)],
        ['System', `${record.machine.platform} (${record.machine.architecture})`],
        ...Object.entries(record.versions),
        ['Time', `${Math.round(record.stages.reduce((sum, stage) => sum + stage.seconds, 0)).toLocaleString('en')} s`],
      ],
    ),
    '',
    '## Recipe',
    '',
    '```json',
    JSON.stringify(recipe, null, 2),
    '```',
    '',
  ].join('\n');
}

function evaluatedOn({ rows, drawnFrom }: ExperimentResults['evaluations'][number]): string {
  const drawn = drawnFrom === undefined ? '' : `, drawn at random from ${drawnFrom.toLocaleString('en')}`;
  return `Evaluated on ${rows.toLocaleString('en')} held-out rows${drawn}.`;
}

/** The student against each other model on the same rows, a sentence each. */
export function pairedSentences(evaluations: ExperimentResults['evaluations']): string[] {
  const student = evaluations.find(({ model }) => model === 'bitdistill');
  return (['teacher', 'teacher-q4_0', 'bitnet-sft'] as const).flatMap((other) => {
    const [difference, low, high] = ['', '.low', '.high'].map(
      (end) => student?.scores[`differenceFrom.${other}${end}`],
    );
    if (difference === undefined) return [];
    const p = student?.scores[`mcnemarP.${other}`];
    const test = p === undefined ? 'bootstrap over the rows' : `exact McNemar p = ${p.toPrecision(2)}`;
    return [
      `Student against ${names[other]} on the same rows: ${points(difference)} (95 %: ${points(low)} to ${points(high)}; ${test}).`,
    ];
  });
}

/** The same card as one HTML file without any outside resource. */
export function htmlCard(record: ExperimentRecord, results: CardResults): string {
  const body = toHtml(markdownCard(record, results));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width">
<title>${escape(record.name)}</title>
<style>
:root{color-scheme:light dark;font:16px/1.55 system-ui,sans-serif}body{max-width:64rem;margin:2.5rem auto;padding:0 1.25rem}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}th,td{text-align:left;padding:.4rem .9rem .4rem 0;border-bottom:1px solid #8885;font-variant-numeric:tabular-nums}
code,pre{font:13px/1.5 ui-monospace,monospace}td{vertical-align:top}td code{overflow-wrap:anywhere}pre{padding:1rem;border:1px solid #8885;border-radius:8px;overflow-x:auto}
</style>
${body}
</html>
`;
}

/** Only what markdownCard writes: headings, paragraphs, tables, one fenced block, code spans. */
function toHtml(markdown: string): string {
  const blocks = markdown.split(/\n\n+(?=[^\n])/);
  const out: string[] = [];
  for (let index = 0; index < blocks.length; index++) {
    let block = blocks[index]!.trim();
    if (block.startsWith('```')) {
      while (!block.endsWith('```')) block += `\n\n${blocks[++index] ?? '```'}`;
      out.push(`<pre>${escape(block.replace(/^```\w*\n/, '').replace(/\n```$/, ''))}</pre>`);
    } else if (block.startsWith('#')) {
      const level = /^#+/.exec(block)![0].length;
      out.push(`<h${String(level)}>${inline(block.slice(level + 1))}</h${String(level)}>`);
    } else if (block.startsWith('|')) out.push(htmlTable(block));
    else if (block !== '') out.push(`<p>${inline(block)}</p>`);
  }
  return out.join('\n');
}

function htmlTable(block: string): string {
  const [head, , ...rows] = block.split('\n').map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => inline(cell.trim().replaceAll('\\|', '|'))),
  );
  const cells = (row: string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${cells(head ?? [], 'th')}</thead><tbody>${rows.map((row) => cells(row, 'td')).join('')}</tbody></table>`;
}

function inline(text: string): string {
  return escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function points(value: number | undefined): string {
  return value === undefined ? 'unknown' : `${value >= 0 ? '+' : ''}${(value * 100).toFixed(2)} points`;
}

function rate(value: number | null): string {
  return value === null ? 'not measured' : Math.round(value).toLocaleString('en');
}

function baseName(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== '') ?? path;
}
