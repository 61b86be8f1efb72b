/** Tables of the benchmark on real models, as text and for docs/results.md and the README. */
import { bytesInWords } from '../../main/contract/quantities.ts';
import type { ComparedModel } from '../../main/contract/model-names.ts';
import { z95 } from '../../main/evaluation/wilson.ts';
import type { FidelityTask, TaskName } from '../fidelity/tasks.ts';
import { mean, seedVariance } from '../over-seeds.ts';
import { circumstances, markdownTable, resultsPage, updateReadme, writeSection } from '../results-page.ts';
import { pretrainedModels } from './readme.ts';
import type { RealRun } from './runs.ts';

export interface ModelReport {
  /** Key of the model. */
  readonly name: string;
  readonly title: string;
  readonly taskName: TaskName;
  readonly task: FidelityTask;
  readonly rows: number;
  /** Preset and what was changed of it. */
  readonly settings: string;
  readonly cutLayers: number;
  /** Tokens of WikiText-2 that perplexity is measured on. */
  readonly textTokens: number;
  /** One run for each seed. */
  readonly whole: readonly RealRun[];
  readonly cut: readonly RealRun[];
}

type Found = RealRun['rows'][number];

const modelTitles: Readonly<Record<ComparedModel, string>> = {
  teacher: 'teacher',
  'teacher-q4_0': 'teacher, 4-bit (Q4_0)',
  'bitnet-sft': 'BitNet-SFT',
  bitdistill: 'BitDistill',
};

const count = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : value.toFixed(0);

/** Mean over the seeds with its 95 % interval: of the rows, widened by the spread of the seeds. */
function accuracyCell(found: readonly Found[]): string {
  const values = found.map(({ accuracy }) => 100 * accuracy);
  const ofRows = mean(found.map(({ ci95: [low, high] }) => (50 * (high - low)) ** 2));
  const half = Math.sqrt(ofRows + z95 ** 2 * seedVariance(values));
  const seeds = values.length > 1 ? ` (${values.map((value) => value.toFixed(1)).join(', ')})` : '';
  return `${mean(values).toFixed(1)} ± ${half.toFixed(1)}${seeds}`;
}

/** A model that has forgotten all else is beyond any number that means something. */
const perplexityText = (value: number): string => (value < 1e5 ? value.toFixed(1) : '> 100,000');

function accuracyLine(title: string, runs: readonly RealRun[], model: ComparedModel): string[] | null {
  const found = runs.flatMap(({ rows }) => rows.filter(({ name }) => name === model));
  if (found.length === 0) return null;
  const agreements = found.flatMap(({ agreement }) => (agreement === null ? [] : [100 * agreement]));
  const perplexities = runs.flatMap(({ perplexity }) => perplexity[model] ?? []);
  const [first] = found;
  return [
    title,
    accuracyCell(found),
    agreements.length === 0 ? '' : mean(agreements).toFixed(1),
    perplexities.length === 0 ? '' : perplexityText(mean(perplexities)),
    first!.bodyBytes === 0 ? '' : bytesInWords(first!.bodyBytes),
    first!.fileBytes === 0 ? '' : bytesInWords(first!.fileBytes),
    first!.rssBytes === null ? '' : bytesInWords(first!.rssBytes),
  ];
}

/** Every exported file: size and speed in our runtime (of the file that was measured) and in llama.cpp, one thread. */
function fileLines(title: (model: string) => string, run: RealRun): string[][] {
  return run.files.map((file) => {
    const row = run.rows.find(({ name, fileBytes }) => name === file.model && fileBytes === file.fileBytes);
    const other = run.llamaCpp[file.path];
    return [
      `${title(file.model)}, ${file.type}`,
      bytesInWords(file.fileBytes),
      count(row?.prefillTokensPerSecond),
      count(row?.decodeTokensPerSecond),
      ...(other === undefined
        ? ['', '']
        : 'refused' in other
          ? ['refused', '']
          : [count(other.prefill), count(other.decode)]),
    ];
  });
}

/** Titles and cells; the first row of each is its head. */
export function modelTables(report: ModelReport): [title: string, cells: string[][]][] {
  const { whole, cut, title, taskName, task, cutLayers } = report;
  const [first] = whole;
  const cutTitle = `BitDistill, cut to ${cutLayers} layers`;
  const lines = (Object.keys(modelTitles) as ComparedModel[]).map((model) =>
    accuracyLine(modelTitles[model], whole, model),
  );
  const base = mean(whole.flatMap(({ perplexity }) => perplexity.base ?? []));
  const stageLines = (name: string, run: RealRun | undefined): string[][] =>
    (run?.stages ?? []).map(({ kind, seconds, peakBytes }) => [
      `${name}${kind}`,
      (seconds / 60).toFixed(1),
      peakBytes === null ? '' : bytesInWords(peakBytes),
    ]);
  return [
    [
      `${title}, ${taskName}`,
      [
        [
          '',
          `dev ${task.kind === 'classification' ? 'accuracy' : 'ROUGE-L'}`,
          'agrees with teacher',
          'WikiText-2 perplexity',
          'body',
          'whole file',
          'memory',
        ],
        ['base', '', '', perplexityText(base), '', '', ''],
        ...lines.flatMap((line) => (line === null ? [] : [line])),
        ...[accuracyLine(cutTitle, cut, 'bitdistill')].flatMap((line) => (line === null ? [] : [line])),
      ],
    ],
    [
      'Files, tokens per second on one thread (prompt of 128, 64 decoded)',
      [
        ['', 'whole file', 'our prefill', 'our decode', 'llama.cpp prefill', 'llama.cpp decode'],
        ...fileLines((model) => modelTitles[model as ComparedModel], first!),
        ...(cut[0] === undefined
          ? []
          : fileLines(() => cutTitle, {
              ...cut[0],
              files: cut[0].files.filter(({ model }) => model === 'bitdistill'),
            })),
      ],
    ],
    [
      'Time and most memory of each stage',
      [['', 'minutes', 'peak memory'], ...stageLines('', first), ...stageLines('cut: ', cut[0])],
    ],
  ];
}

/** Words after `npm run bench -- ` that name the section. */
const sectionName = ({ name, taskName, rows, settings }: ModelReport): string =>
  `real --model ${name} --task ${taskName} --rows ${rows} (${settings})`;

export function writeModelSection(report: ModelReport): void {
  const { title, taskName, rows, settings, whole, cut, textTokens } = report;
  const [[, accuracy], ...others] = modelTables(report) as [[string, string[][]], ...[string, string[][]][]];
  const minutes =
    [...whole, ...cut].flatMap(({ stages }) => stages).reduce((sum, { seconds }) => sum + seconds, 0) / 60;
  writeSection(
    sectionName(report),
    [
      `## ${title} on ${taskName}`,
      `${circumstances()}. At most ${rows} training rows; ${settings}; ${whole.length} ${whole.length === 1 ? 'seed' : 'seeds'}; ${minutes.toFixed(0)} minutes of work in all. Perplexity on the first ${textTokens} tokens of WikiText-2's validation text in windows of 512. The base is a quantised GGUF file, read back to full precision.`,
      markdownTable(accuracy),
      ...others.flatMap(([heading, cells]) => [`${heading}:`, markdownTable(cells)]),
    ].join('\n\n'),
  );
  updateReadme('real', markdownTable(pretrainedModels(resultsPage())));
}
