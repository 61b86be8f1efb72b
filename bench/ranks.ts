/**
 * `npm run bench -- ranks [--cores N] [--page] [--json]`: how long a step takes that 1 to 64 ranks share. What the parts of a step cost a core is measured for models of
 * 110 M, 0.6 B and 4 B parameters (a few of their layers, one row); a small model is trained by 1, 2 and 4 ranks on this machine, and by 2 on machines with a narrow
 * line between them (namespaces, as root), to check what the forecast (ranks/model.ts) says of computing, bytes and exchange. Needs Open MPI; some minutes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';

import { mpirunCommand, type RankPlan } from '../main/jobs/mpi-port.ts';
import { countParameters } from '../main/models/parameters.ts';
import { prepareMpi } from '../main/pipeline/ranks.ts';
import { makeCluster, missingFor } from '../e2e/small-cluster.ts';
import {
  bytesSent,
  computingSeconds,
  exchangeSeconds,
  lastWorth,
  type Line,
  overlapSeconds,
  rankNumbers,
  roundedWire,
  separateSeconds,
  type StepCosts,
  stepSeconds,
  sum,
  tokensWorthTwo,
} from './ranks/model.ts';
import {
  checked,
  type Manner,
  overlapShards,
  type RankReport,
  rankReport,
  rowTokens,
  type ShapeName,
  shapes,
  stretchSizes,
} from './ranks/rank.ts';
import { mean } from './over-seeds.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { loadNote, table } from './table.ts';

const entry = fileURLToPath(new URL('ranks/rank.ts', import.meta.url));

/** The last line that a process writes, as JSON. */
function said([program, ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env): unknown {
  const child = spawnSync(program!, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.status !== 0) throw new Error(`${program} ended with ${child.signal ?? child.status}`);
  return JSON.parse(child.stdout.trim().split('\n').at(-1)!);
}

const costsSchema = z.object({
  stretches: z.array(z.number()),
  gradients: z.number(),
  addition: z.number(),
  optimiser: z.number(),
  codes: z.number(),
});

/** Tokens of the step that the forecast is for. */
const stepTokens = 2 ** 15;
/** Layers more than one that are measured of a shape, with a small vocabulary: what a further layer takes. */
const measuredLayers: Record<Exclude<ShapeName, 'small'>, number> = { '110 M': 8, '0.6 B': 8, '4 B': 2 };
const smallVocabulary = 1024;

function partsOf(shape: ShapeName, layers: number, vocabulary = 0): StepCosts {
  process.stderr.write(`${shape}: parts of a step with ${layers} layers ...\n`);
  return costsSchema.parse(said([process.execPath, entry, 'parts', shape, String(layers), String(vocabulary)]));
}

/** What a whole step of a shape costs a core: one layer with embedding and head, and as often as needed what a further layer takes. */
function costsOf(shape: keyof typeof measuredLayers): StepCosts {
  const further = measuredLayers[shape];
  const [one, few, more] = [
    partsOf(shape, 1),
    partsOf(shape, 1, smallVocabulary),
    partsOf(shape, 1 + further, smallVocabulary),
  ];
  const { layers } = shapes[shape];
  const all = (of: (costs: StepCosts) => number): number => of(one) + ((layers - 1) * (of(more) - of(few))) / further;
  const stretches = stretchSizes(shapes[shape]);
  const scale = sum(stretches) / sum(one.stretches);
  return {
    stretches,
    gradients: all(({ gradients }) => gradients) * (stepTokens / rowTokens),
    addition: one.addition * scale,
    optimiser: one.optimiser * scale,
    codes: all(({ codes }) => codes),
  };
}

interface Check {
  readonly ranks: number;
  /** Bits a second; null: memory that the ranks share. */
  readonly line: number | null;
  readonly measured: RankReport;
  readonly predicted: { readonly computing: number; readonly sent: number; readonly exchange: number | null };
}

/** Of all ranks: the mean, but what the root waits and exchanges. */
function ofRanks(found: unknown): RankReport {
  const ranks = z.array(rankReport).parse(found);
  const root = ranks[0]!;
  const over = (name: keyof RankReport): number => mean(ranks.map((each) => each[name]));
  return {
    ...root,
    computing: over('computing'),
    gradients: over('gradients'),
    exchangeProcessor: over('exchangeProcessor'),
    sent: over('sent'),
  };
}

function runRanks(
  plan: RankPlan,
  manner: Manner = 'rank',
  wrap = (command: string[]) => command,
  env?: NodeJS.ProcessEnv,
): RankReport {
  process.stderr.write(`small: ${plan.ranks} ranks, ${manner} ...\n`);
  return ofRanks(said(wrap(mpirunCommand(plan, [process.execPath, entry, manner])), env));
}

/** Megabits a second between two machines of the check. */
const checkedLines = [100, 1000] as const;

/** A step of two ranks, with and without the exchange beside the pass backward. */
interface Overlap {
  readonly line: number;
  readonly separate: number;
  readonly overlapping: number;
  /** What the forecast says that it spares. */
  readonly predicted: number;
}

function check(): { checks: Check[]; overlaps: Overlap[] } {
  const one = ofRanks(said([process.execPath, entry, 'alone']));
  const parts = partsOf('small', shapes.small.layers);
  const costs: StepCosts = { ...parts, gradients: one.gradients };
  const compare = (ranks: number, measured: RankReport, line: number | null): Check => ({
    ranks,
    line,
    measured,
    predicted: {
      computing: computingSeconds(costs, { ranks, shards: checked.shards }),
      sent: bytesSent(sum(costs.stretches), ranks),
      exchange:
        line === null ? null : exchangeSeconds([sum(costs.stretches)], ranks, { bitsPerSecond: line, roundTrip }),
    },
  });
  const found = [compare(1, one, null), ...[2, 4].map((ranks) => compare(ranks, runRanks({ ranks }), null))];
  const lacking = missingFor('cluster');
  if (lacking.length > 0) process.stderr.write(`No line is checked: that needs ${lacking.join(', ')}.\n`);
  else for (const megabits of checkedLines) found.push(compare(2, overLine(megabits, 'rank'), megabits * 1e6));
  const overlaps = (lacking.length > 0 ? [] : checkedLines).map((megabits): Overlap => {
    const line = { bitsPerSecond: megabits * 1e6, roundTrip };
    const machines = { ranks: 2, shards: overlapShards, cores: 1 };
    return {
      line: line.bitsPerSecond,
      separate: overLine(megabits, 'separate').step,
      overlapping: overLine(megabits, 'overlapping').step,
      predicted: overlapSeconds(costs, machines, line),
    };
  });
  return { checks: found, overlaps };
}

/** Two ranks on machines that send so fast. */
function overLine(megabits: number, manner: Manner): RankReport {
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-bench-ranks-'));
  const cluster = makeCluster(folder, ['n1', 'n2'], megabits);
  try {
    const machines = ['n1', 'n2'].map((name) => ({ name, slots: 1 }));
    return runRanks(
      { ranks: 2, machines, network: cluster.network },
      manner,
      ([program, ...args]) => cluster.on('n1', program!, ...args).flat(),
      { ...process.env, OMPI_MCA_plm_rsh_agent: cluster.agent },
    );
  } finally {
    cluster.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Seconds from one machine to another and back; of a message of Open MPI over TCP in one building. */
const roundTrip = 1e-4;
const lines = [1e9, 1e10, 1e11] as const;

interface Forecast {
  readonly model: string;
  readonly parameters: number;
  readonly line: number;
  /** Of a step, by the number of ranks (`rankNumbers`). */
  readonly seconds: readonly number[];
  readonly lastWorth: number;
  readonly tokensWorthTwo: number;
  /** Of a step of 8 ranks: with a rounded exchange, and if nothing of the exchange were beside the backward pass. */
  readonly ofEight: { readonly rounded: number; readonly separate: number };
}

/** Ranks and shards of a run: 8 shards, more where there are more ranks. */
const machinesOf = (ranks: number, cores: number) => ({ ranks, shards: Math.max(8, ranks), cores });

function forecast(model: string, costs: StepCosts, bitsPerSecond: number, cores: number): Forecast {
  const line: Line = { bitsPerSecond, roundTrip };
  const seconds = (ranks: number): number => stepSeconds(costs, machinesOf(ranks, cores), line);
  return {
    model,
    parameters: sum(costs.stretches),
    line: bitsPerSecond,
    seconds: rankNumbers.map(seconds),
    lastWorth: lastWorth(seconds),
    tokensWorthTwo: tokensWorthTwo(costs, stepTokens, cores, line),
    ofEight: {
      rounded: stepSeconds(costs, machinesOf(8, cores), line, roundedWire),
      separate: separateSeconds(costs, machinesOf(8, cores), line),
    },
  };
}

const gigabits = (bits: number): string => `${bits / 1e9} Gb/s`;
const seconds = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3);
const tokens = (value: number): string => (value < 1 ? 'any' : Math.ceil(value).toLocaleString('en'));

function checkCells(found: readonly Check[]): string[][] {
  return [
    [
      'ranks',
      'between them',
      'computing s',
      'forecast s',
      'sent MB',
      'forecast MB',
      'exchange s',
      'forecast s',
      'step s',
    ],
    ...found.map(({ ranks, line, measured, predicted }) => [
      String(ranks),
      ranks === 1 ? '' : line === null ? 'memory' : gigabits(line),
      seconds(measured.computing),
      seconds(predicted.computing),
      (measured.sent / 1e6).toFixed(2),
      (predicted.sent / 1e6).toFixed(2),
      ranks === 1 ? '' : seconds(measured.exchange),
      predicted.exchange === null ? '' : seconds(predicted.exchange),
      seconds(measured.step),
    ]),
  ];
}

function overlapCells(found: readonly Overlap[]): string[][] {
  return [
    ['between two ranks', 'one after the other, step s', 'overlapping, step s', 'spared s', 'forecast s'],
    ...found.map(({ line, separate, overlapping, predicted }) => [
      gigabits(line),
      ...[separate, overlapping, separate - overlapping, predicted].map(seconds),
    ]),
  ];
}

function forecastCells(found: readonly Forecast[]): string[][] {
  return [
    [
      'model',
      'line',
      ...rankNumbers.map((ranks) => `${ranks}`),
      '8, rounded',
      '8, one after the other',
      'worth it up to',
      'two help from',
    ],
    ...found.map((one) => [
      one.model,
      gigabits(one.line),
      ...[...one.seconds, one.ofEight.rounded, one.ofEight.separate].map(seconds),
      one.lastWorth === 1 ? 'never' : `${one.lastWorth} machines`,
      one.tokensWorthTwo < 1 ? 'any step' : `${tokens(one.tokensWorthTwo)} tokens`,
    ]),
  ];
}

const options = {
  cores: { type: 'string', default: '16' },
  page: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const cores = Number(values.cores);
  prepareMpi();
  const [load] = loadavg() as [number];
  const { checks, overlaps } = check();
  const costs = Object.fromEntries(
    (Object.keys(measuredLayers) as (keyof typeof measuredLayers)[]).map((shape) => [shape, costsOf(shape)]),
  );
  const forecasts = Object.entries(costs).flatMap(([model, each]) =>
    lines.map((line) => forecast(model, each, line, cores)),
  );
  if (values.page) writeSection('ranks', page({ load, cores, checks, overlaps, costs, forecasts }));
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify({ load, cores, stepTokens, checks, overlaps, costs, forecasts }, null, 2)}\n`,
    );
    return Promise.resolve();
  }
  const tables = [checkCells(checks), overlapCells(overlaps), forecastCells(forecasts)];
  process.stdout.write(`${tables.map(table).join('\n\n')}\n`);
  return Promise.resolve();
}

interface Found {
  readonly load: number;
  readonly cores: number;
  readonly checks: readonly Check[];
  readonly overlaps: readonly Overlap[];
  readonly costs: Readonly<Record<string, StepCosts>>;
  readonly forecasts: readonly Forecast[];
}

function page({ load, cores, checks, overlaps, costs, forecasts }: Found): string {
  const small = countParameters(shapes.small).total;
  return [
    '## More than one machine: how long a step takes',
    `${circumstances()}. ${loadNote(load, cpus().length, 0)}`,
    `**The check.** A model of ${(small / 1e6).toFixed(1)} M parameters, steps of ${checked.rows} rows of ${rowTokens} tokens in ${checked.shards} shards, ${checked.steps} steps, medians; one thread a rank. Ranks share the cores of this machine, so the time on a clock says little of as many machines; *computing* is in processor seconds of a rank (the mean of all), which waiting and other work do not change, without the exchange. Forecast: forward and backward as one process needs them, divided by the ranks; sums, optimiser and new codes as they were measured alone. *Sent* is what each rank gave to the others in a step, counted where it is given to MPI. The lines of 0.1 and 1 Gb/s are between network namespaces that the kernel holds to that speed. *Exchange* and *step* are the clock's, the least of all steps, because other work on this machine makes them longer. What this check cannot tell: how real cards, switches and more than four ranks behave.`,
    markdownTable(checkCells(checks)),
    `**The overlap.** Two ranks with ${overlapShards} shards, one each, so that the last pass backward is the only one: the last layers' gradients travel while those of the first are computed (${stretchSizes(shapes.small).length} stretches of parameters), or after the pass. The clock's, the least of all steps.`,
    markdownTable(overlapCells(overlaps)),
    `**The forecast.** Seconds of one step of ${stepTokens.toLocaleString('en')} tokens of Stage 2 (no teacher) with so many machines of ${cores} cores each, by the model in \`bench/ranks/model.ts\`. What a step costs is measured here for one core, one row and a few layers of each model (${Object.entries(
      costs,
    )
      .map(([model, { gradients }]) => `${model}: ${seconds((1000 * gradients) / stepTokens)} ms a token`)
      .join(
        ', ',
      )}) and the least of some times, and divided by the cores as if nothing were lost among them: real machines compute for longer, and then more of them help. *Worth it up to*: the last doubling that made the step shorter by a tenth. *Two help from*: the tokens of a step (\`batchSize\` times their length) from which a second machine makes it shorter at all; below it, one machine alone is faster than any number of them. *8, rounded*: with \`roundedExchange\`. Gradients travel during the last backward pass as far as it goes ([architecture.md](architecture.md), "More than one machine"); *8, one after the other*: 8 machines if they did not.`,
    markdownTable(forecastCells(forecasts)),
  ].join('\n\n');
}
