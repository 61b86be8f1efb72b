/** What the runs of the fidelity benchmark say together: means over seeds, intervals, shares of the gap; as text and for docs/results.md. */
import { comparePaired } from '../../main/evaluation/mcnemar.ts';
import { z95 } from '../../main/evaluation/wilson.ts';
import { mean, seedVariance } from '../over-seeds.ts';
import { intervalPlot, type PlottedValue } from '../interval-plot.ts';
import { circumstances, markdownTable, updateReadme, writePlot, writeSection } from '../results-page.ts';
import type { TrainedModel } from '../../main/contract/model-names.ts';
import type { FinishedRun, Score } from './runs.ts';
import type { FidelityTask } from './tasks.ts';
import { readmeVariants } from './variants.ts';

/** Folder name of the base that is taken unless another is named; sections of the page about another say so. */
export const defaultBase = 'story-656k';

/** The words after `npm run bench -- ` that name a section. */
export function sectionName(task: string, baseName: string, validation = false): string {
  const teacher = baseName === defaultBase ? '' : ` --teacher ${baseName}`;
  return `fidelity --task ${task}${teacher}${validation ? ' --split validation' : ''}`;
}

/** All seeds' scores of one model. */
export interface Line {
  readonly name: string;
  readonly text: string;
  /** Seed of each score. */
  readonly seeds: readonly number[];
  readonly dev: readonly Score[];
  readonly tail: readonly Score[];
}

export const meanValue = (scores: readonly Score[]): number => mean(scores.map(({ value }) => value));

export function lineOf(name: string, text: string, model: TrainedModel, runs: readonly FinishedRun[]): Line {
  const scores = (which: 'dev' | 'tail'): Score[] => runs.flatMap((run) => run[which].get(model) ?? []);
  return { name, text, seeds: runs.map(({ seed }) => seed), dev: scores('dev'), tail: scores('tail') };
}

/** Half the 95 % interval of the mean accuracy: of the rows, which all seeds share, widened by the spread of the seeds. */
export function halfInterval(scores: readonly Score[]): number {
  const value = meanValue(scores);
  const ofRows = (value * (1 - value)) / scores[0]!.rows;
  return z95 * Math.sqrt(ofRows + seedVariance(scores.map((score) => score.value)));
}

/** Share of the way from BitNet-SFT to the teacher that a student has gone; null where there is no way to go. */
export function gapClosed(teacher: number, bitnetSft: number, student: number): number | null {
  return teacher - bitnetSft > 0 ? (student - bitnetSft) / (teacher - bitnetSft) : null;
}

/** Mean paired difference in points of the first seeds' answers, with the interval and p of the first seed. */
function paired(student: readonly Score[], other: readonly Score[]): string {
  const [first] = student;
  const [against] = other;
  if (!first || !against || first.right.length === 0 || first.right.length !== against.right.length) return '';
  const gold = first.right.map(() => true);
  const found = comparePaired(gold, against.right, first.right);
  return `${signed(found.difference)} (${signed(found.ci95[0])} to ${signed(found.ci95[1])}, p ${found.pValue.toPrecision(2)})`;
}

const signed = (share: number): string => `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)}`;

/**
 * Mean difference to the main student over the seeds that both have, in points, with its 95 % interval. Paired by row: what a row's answers differ by,
 * averaged over the seeds, is one observation, because all seeds answer the same rows.
 */
export function difference(line: Line, main: Line, set: 'dev' | 'tail'): string {
  const pairs = line.seeds.flatMap((seed, index) => {
    const other = main.seeds.indexOf(seed);
    const [own, against] = [line[set][index]?.right, main[set][other]?.right];
    return own && against && own.length > 0 && own.length === against.length ? [{ own, against }] : [];
  });
  const [first] = pairs;
  if (!first || line === main) return '';
  const rows = first.own.map((_, row) =>
    mean(pairs.map(({ own, against }) => Number(own[row]) - Number(against[row]))),
  );
  const found = mean(rows);
  const half = z95 * Math.sqrt(mean(rows.map((row) => (row - found) ** 2)) / rows.length);
  return `${signed(found)} (${signed(found - half)} to ${signed(found + half)})`;
}

const percent = (value: number): string => (100 * value).toFixed(1);
const cell = (scores: readonly Score[]): string =>
  scores.length === 0
    ? ''
    : `${percent(meanValue(scores))} ± ${percent(halfInterval(scores))}${scores.length > 1 ? ` (${scores.map(({ value }) => percent(value)).join(', ')})` : ''}`;
const shareText = (share: number | null): string => (share === null ? 'no gap' : `${(100 * share).toFixed(0)} %`);

export interface FidelityReport {
  readonly taskName: string;
  /** The rows are held out of the training rows. */
  readonly validation: boolean;
  readonly task: FidelityTask;
  readonly baseName: string;
  readonly baseParameters: number;
  readonly seeds: readonly number[];
  readonly teacherSteps: number;
  readonly studentSteps: number;
  readonly teacher: Line;
  readonly bitnetSft: Line;
  readonly bitdistill: Line;
  readonly others: readonly Line[];
  readonly recipe: string;
  readonly minutes: number;
}

/** The rows that decide: the larger set where there is one. */
export function decisive(report: FidelityReport): 'dev' | 'tail' {
  return report.teacher.tail.length > 0 ? 'tail' : 'dev';
}

export function resultRows(report: FidelityReport): string[][] {
  const { teacher, bitnetSft, bitdistill, others } = report;
  const set = decisive(report);
  const hasTail = set === 'tail';
  const line = (of: Line, gap: boolean): string[] => {
    const { name, text, dev, tail } = of;
    const scores = set === 'tail' ? tail : dev;
    return [
      text === '' ? name : `${name}: ${text}`,
      cell(dev),
      ...(hasTail ? [cell(tail)] : []),
      mean(scores.map(({ crossEntropy }) => crossEntropy)).toFixed(3),
      scores.every(({ agreement }) => agreement === null)
        ? ''
        : percent(mean(scores.map((score) => score.agreement ?? 0))),
      gap ? shareText(gapClosed(meanValue(teacher[set]), meanValue(bitnetSft[set]), meanValue(scores))) : '',
      difference(of, bitdistill, set),
    ];
  };
  const what = report.task.kind === 'classification' ? 'accuracy' : 'ROUGE-L';
  return [
    [
      '',
      `${report.validation ? 'validation' : 'dev'} ${what}`,
      ...(hasTail ? [`held-out ${what}`] : []),
      'cross-entropy',
      'agrees with teacher',
      'gap closed',
      'against BitDistill, points',
    ],
    line(teacher, false),
    line(bitnetSft, false),
    line(bitdistill, true),
    ...others.map((other) => line(other, true)),
  ];
}

/** Writes the section of docs/results.md and its plot, and the README's share of both. */
export function writeReport(report: FidelityReport): void {
  const { taskName, validation, task, seeds, teacher, bitnetSft, bitdistill, others } = report;
  const set = decisive(report);
  const rows = set === 'tail' ? teacher.tail[0]!.rows : teacher.dev[0]!.rows;
  const [paperTeacher, paperSft, paperStudent] = task.paper;
  const plotted = [teacher, bitnetSft, bitdistill, ...others].map((line, index): PlottedValue => {
    const value = 100 * meanValue(line[set]);
    const half = 100 * halfInterval(line[set]);
    return { label: line.name, value, low: value - half, high: value + half, emphasised: index < 3 };
  });
  const what = task.kind === 'classification' ? 'accuracy, %' : 'ROUGE-L';
  const name = sectionName(taskName, report.baseName, validation);
  const plotName = name.replace(/ ?--(task|teacher|split)? ?/g, '-');
  const subject = report.baseName === defaultBase ? taskName : `${taskName}, ${report.baseName}`;
  const rowsName = validation ? 'validation' : set === 'tail' ? 'held-out' : 'dev';
  const plot = writePlot(
    plotName,
    intervalPlot(`${taskName}: ${rows} ${rowsName} rows`, `${what}, 95 % interval`, plotted),
    `Every variant's ${what} on ${taskName} with its interval`,
  );
  const [head, ...lines] = resultRows(report);
  updateReadme(
    name,
    [
      `${taskName}, ${report.baseName} (${(report.baseParameters / 1e6).toFixed(2)} M parameters), ${rows} ${rowsName} rows, ${seeds.length} ${seeds.length === 1 ? 'seed' : 'seeds'}, ${report.studentSteps} steps for each student; BitDistill also needs the ${report.teacherSteps} steps that fine-tuned its teacher:`,
      markdownTable([
        head!,
        ...lines.filter((_, index) => index < 3 || readmeVariants.includes(others[index - 3]!.name)),
      ]),
      plot.replace('](', '](docs/'),
    ].join('\n\n'),
  );
  writeSection(
    name,
    [
      validation
        ? `## ${subject}: what was tried, on rows held out of training`
        : `## ${subject}: teacher, BitNet-SFT and BitDistill`,
      `${circumstances()}. Base: ${report.baseName}, ${(report.baseParameters / 1e6).toFixed(2)} M parameters. Seeds ${seeds.join(', ')}; each ablation with as many seeds as its cell lists. ${report.teacherSteps} steps for the teacher; ${report.studentSteps} steps for every student (all its stages together) where its line does not say otherwise. ${report.minutes.toFixed(0)} minutes of training in all.`,
      plot,
      markdownTable(resultRows(report)),
      ...(set === 'tail' && task.kind === 'classification'
        ? [
            `Paired on the held-out rows (seed ${seeds[0]}, McNemar): BitDistill − BitNet-SFT ${paired(bitdistill.tail, bitnetSft.tail)}; BitDistill − teacher ${paired(bitdistill.tail, teacher.tail)} points.`,
          ]
        : []),
      `The paper (Qwen3-0.6B${task.kind === 'generation' ? ', CNN/DailyMail' : ''}): teacher ${paperTeacher}, BitNet-SFT ${paperSft}, BitDistill ${paperStudent}: ${shareText(gapClosed(paperTeacher, paperSft, paperStudent))} of the gap closed.`,
      `<details><summary>The recipe of BitDistill, seed ${seeds[0]}</summary>\n\n\`\`\`json\n${report.recipe}\n\`\`\`\n\n</details>`,
    ].join('\n\n'),
  );
}
