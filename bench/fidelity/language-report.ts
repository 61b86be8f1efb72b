/** Runs the language-modelling comparison and writes its table and its section of docs/results.md. */
import { basename, join } from 'node:path';
import { modelConfiguration } from '../../main/models/open-model.ts';
import { countParameters } from '../../main/models/parameters.ts';
import { circumstances, markdownTable, writeSection } from '../results-page.ts';
import { table } from '../table.ts';
import { type LanguageResult, measureLanguage } from './language.ts';
import { gapClosed, sectionName } from './report.ts';

export interface LanguageOptions {
  readonly base: string;
  readonly corpus: string;
  readonly workFolder: string;
  readonly seeds: readonly number[];
  readonly tokens: number;
  readonly teacherTokens: number;
  readonly threads: number;
  readonly page: boolean;
  readonly json: boolean;
  say(text: string): void;
}

interface Row extends LanguageResult {
  readonly perSeed: readonly number[];
}

function averaged(runs: readonly (readonly LanguageResult[])[]): Row[] {
  return runs[0]!.map((result, index) => {
    const perSeed = runs.map((run) => run[index]!.crossEntropy);
    return { ...result, perSeed, crossEntropy: perSeed.reduce((sum, value) => sum + value, 0) / perSeed.length };
  });
}

export async function runLanguage(options: LanguageOptions): Promise<void> {
  const { base, corpus, seeds, tokens, teacherTokens, threads } = options;
  const runs: LanguageResult[][] = [];
  for (const seed of seeds)
    runs.push(
      await measureLanguage(
        { base, corpus, workFolder: join(options.workFolder, `seed-${seed}`), tokens, teacherTokens, seed, threads },
        ({ name, crossEntropy }) => options.say(`seed ${seed}: ${name} ${crossEntropy.toFixed(3)}`),
      ),
    );
  const rows = averaged(runs);
  const value = (name: string): number => rows.find((row) => row.name === name)!.crossEntropy;
  const teacher = value('teacher');
  const bitnetSft = value('BitNet training');
  const untrained = value('quantised without training');
  const share = (closed: number | null): string => (closed === null ? 'no gap' : `${(100 * closed).toFixed(0)} %`);
  const cells = [
    ['model', 'how', 'steps', 'nats per token', 'of the gap to BitNet training', 'of the gap to no training'],
    ...rows.map(({ name, text, steps, crossEntropy, perSeed }) => [
      name,
      text,
      steps === 0 ? '' : String(steps),
      `${crossEntropy.toFixed(3)}${perSeed.length > 1 ? ` (${perSeed.map((one) => one.toFixed(3)).join(', ')})` : ''}`,
      ['base', 'teacher', 'quantised without training', 'BitNet training'].includes(name)
        ? ''
        : share(gapClosed(-teacher, -bitnetSft, -crossEntropy)),
      ['base', 'teacher', 'quantised without training'].includes(name)
        ? ''
        : share(gapClosed(-teacher, -untrained, -crossEntropy)),
    ]),
  ];
  if (options.page) {
    const parameters = countParameters(await modelConfiguration(base)).total;
    writeSection(
      sectionName('tinystories', basename(base)),
      [
        '## Language modelling: what ternary weights cost, and what wins it back',
        `${circumstances()}. Base: ${basename(base)}, ${(parameters / 1e6).toFixed(2)} M parameters. Corpus: ${basename(corpus)}; its last twentieth is held out. Seeds ${seeds.join(', ')}. The teacher is the base after ${(teacherTokens / 1e6).toFixed(1)} M more tokens in full precision; every student takes ${(tokens / 1e6).toFixed(1)} M tokens.`,
        markdownTable(cells),
      ].join('\n\n'),
    );
  }
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ task: 'tinystories', seeds, teacher, bitnetSft, bitdistill: value('BitDistill'), gapClosed: gapClosed(-teacher, -bitnetSft, -value('BitDistill')), rows }, null, 2)}\n`,
    );
  else process.stdout.write(`${table(cells)}\n`);
}
