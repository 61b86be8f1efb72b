/** The report of an experiment as a model card: what was made, from what, how good and how fast it is, on which machine. */
import MarkdownIt from 'markdown-it';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { lastPart } from '../../contract/local-path.ts';
import { bytesInWords, percent } from '../../contract/quantities.ts';
import type { ExperimentResults } from '../../contract/views.ts';
import { jobResults } from '../../contract/job-results.ts';
import { baselineModel, type ComparedModel, studentModel, teacherModel } from '../../contract/model-names.ts';
import type { Deciding } from '../../contract/recipe.ts';
import { differenceBlocks } from './card-differences.ts';
import { table } from './card-markdown.ts';
import type { ReportedDifferences } from './differences.ts';

const names: Record<ComparedModel, string> = {
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
  const student = results.evaluations.find(({ model }) => model === studentModel);
  const request = results.comparison?.request ?? null;
  const sure = sureSentences(results.evaluations);
  return [
    `# ${record.name}`,
    '',
    `A 1.58-bit ternary student for the task "${recipe.task.name}", made by Tritsmith ${record.versions['tritsmith'] ?? ''} from \`${lastPart(recipe.teacher)}\` by BitNet Distillation.`,
    '',
    '## Results',
    '',
    results.comparison === null ? 'Nothing has been evaluated yet.' : table(head, lines),
    ...(student === undefined ? [] : ['', evaluatedOn(student)]),
    ...cutSentences(record).flatMap((sentence) => ['', sentence]),
    ...keptSentences(record).flatMap((sentence) => ['', sentence]),
    ...cardSentences(record).flatMap((sentence) => ['', sentence]),
    ...pairedSentences(results.evaluations).flatMap((sentence) => ['', sentence]),
    ...sure.flatMap((sentence) => ['', sentence]),
    ...(request === null
      ? []
      : [
          '',
          `One request: ${String(request.promptTokens)} prompt tokens (the median of the held-out rows), ${request.answerTokens > 1 ? `${String(request.answerTokens)} answer tokens` : 'the scores of the labels'}. Speeds are medians of five rounds on one thread, a prompt of 128 tokens and 64 decoded ones.`,
        ]),
    '',
    ...(results.evaluations.length === 0
      ? []
      : [
          '## All scores',
          '',
          table(
            ['Model', 'Score', 'Value'],
            results.evaluations.flatMap(({ model, value, crossEntropy, scores }) => [
              [names[model], metric, percent(value)],
              [names[model], 'cross-entropy, nats per token', crossEntropy.toFixed(3)],
              ...Object.entries(scores).map(([name, score]) => [names[model], name, score.toPrecision(4)]),
            ]),
          ),
          '',
        ]),
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
    ...(results.comparison?.failedExports ?? []).flatMap(({ type, problem }) => [
      '',
      `As ${type} it could not be written: ${problem.text}`,
    ]),
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

/** Of a student with fewer layers than its start: which those are that stayed. */
export function cutSentences({ stages }: Pick<ExperimentRecord, 'stages'>): string[] {
  return stages.flatMap(({ kind, result }) => {
    const cut = kind === 'cut' ? jobResults.cut.safeParse(result).data : undefined;
    if (cut === undefined) return [];
    const kept = cut.kept.map((layer) => layer + 1).join(', ');
    return [
      `The student has ${String(cut.kept.length)} of ${String(cut.layers)} layers, those that its answers need most: ${kept}.`,
    ];
  });
}

const keptModels = { finetune: teacherModel, distil: studentModel, baseline: baselineModel } as const;
const measures: Record<Deciding, string> = {
  accuracy: 'accuracy',
  'macro-f1': 'macro F1',
  'cross-entropy': 'cross-entropy, nats per token',
};

/** Of each model that is not the last step of its training: which step it is, and what chose it. */
export function keptSentences({ stages }: Pick<ExperimentRecord, 'stages'>): string[] {
  return stages.flatMap(({ kind, result }) => {
    if (kind !== 'finetune' && kind !== 'distil' && kind !== 'baseline') return [];
    const { kept, steps } = jobResults[kind].safeParse(result).data ?? {};
    if (kept === undefined || steps === undefined) return [];
    const value = kept.measure === 'cross-entropy' ? kept.value.toFixed(3) : percent(kept.value);
    return [
      `${names[keptModels[kind]]}: step ${kept.step.toLocaleString('en')} of ${steps.toLocaleString('en')} was kept, the best by ${measures[kept.measure]} (${value}) on ${kept.rows.toLocaleString('en')} training rows that were set apart to choose with; the evaluation rows chose nothing.`,
    ];
  });
}

/** Of each model that a graphics card trained: which one, and whether anything else had a part in it. */
export function cardSentences({ stages }: Pick<ExperimentRecord, 'stages'>): string[] {
  return stages.flatMap(({ kind, result }) => {
    if (kind !== 'finetune' && kind !== 'distil' && kind !== 'baseline') return [];
    const computedOn = jobResults[kind].safeParse(result).data?.computedOn ?? [];
    const [first, ...others] = computedOn.map((name) => (name === 'processor' ? 'the processor' : name));
    if (first === undefined) return [];
    const mixed =
      others.length === 0
        ? ''
        : `, then on ${others.join(', then on ')}: the same run on one of them ends with other bits`;
    return [`${names[keptModels[kind]]}: trained on ${first}${mixed}.`];
  });
}

/** How far the student's scores can be trusted, a sentence for each threshold that some rows reach. */
export function sureSentences(evaluations: ExperimentResults['evaluations']): string[] {
  const student = evaluations.find(({ model }) => model === studentModel);
  const { calibration, rows } = student ?? {};
  if (calibration === undefined || rows === undefined) return [];
  return calibration.sure
    .filter((point) => point.rows > 0)
    .map(
      ({ atLeast, rows: sure, right }) =>
        `Where the student's score is at least ${percent(atLeast, 0)}, which it is on ${percent(sure / rows)} of the rows, it is right on ${percent(right / sure)} of them.`,
    );
}

/** The student against each other model on the same rows, a sentence each. */
export function pairedSentences(evaluations: ExperimentResults['evaluations']): string[] {
  const student = evaluations.find(({ model }) => model === studentModel);
  return (student?.differences ?? []).map(({ from, value, low, high, mcnemarP }) => {
    const test = mcnemarP === null ? 'bootstrap over the rows' : `exact McNemar p = ${mcnemarP.toPrecision(2)}`;
    return `Student against ${names[from]} on the same rows: ${points(value)} (95 %: ${points(low)} to ${points(high)}; ${test}).`;
  });
}

/**
 * Knows what a card is made of and nothing else, so that the data of a user in it stays text: no HTML, no links, no images, no emphasis.
 */
const markdown = new MarkdownIt('zero', { html: false }).enable(['heading', 'table', 'fence', 'backticks']);

/** The same card as one HTML file without any outside resource. */
export function htmlCard(record: ExperimentRecord, results: CardResults): string {
  const body = markdown.render(markdownCard(record, results));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width">
<title>${markdown.utils.escapeHtml(record.name)}</title>
<style>
:root{color-scheme:light dark;font:16px/1.55 system-ui,sans-serif}body{max-width:64rem;margin:2.5rem auto;padding:0 1.25rem}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}th,td{text-align:left;padding:.4rem .9rem .4rem 0;border-bottom:1px solid #8885;font-variant-numeric:tabular-nums}
code,pre{font:13px/1.5 ui-monospace,monospace}td{vertical-align:top}td code{overflow-wrap:anywhere}pre{padding:1rem;border:1px solid #8885;border-radius:8px;overflow-x:auto}
</style>
${body}
</html>
`;
}

function points(value: number): string {
  return `${value >= 0 ? '+' : ''}${(value * 100).toFixed(2)} points`;
}

function rate(value: number | null): string {
  return value === null ? 'not measured' : Math.round(value).toLocaleString('en');
}
