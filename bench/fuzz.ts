/**
 * `npm run bench -- fuzz [--parser name,...] [--inputs 100000] [--from index] [--seed N] [--only index] [--json]`: damaged files for every
 * parser, from one index on where an earlier command of the same seed was stopped there.
 * Fails on a crash, a hang, an error that is no TritsmithError, a changed prototype, a file opened outside the input's folder, or
 * memory out of proportion.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fuzzParser, type FuzzResult } from './fuzz/campaign.ts';
import { fuzzTargets } from './fuzz/targets/index.ts';
import { table } from './table.ts';

const head = ['parser', 'inputs', 'read', 'refused', 'at a limit', 'slowest', 'peak memory', 'time', 'failures'];

function cells(result: FuzzResult): string[] {
  const { parser, inputs, accepted, refused, stopped, slowest, peakBytes, seconds, failures } = result;
  return [
    parser,
    ...[inputs, accepted, refused, stopped].map((count) => count.toLocaleString('en-US')),
    `${Math.round(slowest)} ms`,
    `${Math.round(peakBytes / 1024 ** 2)} MB`,
    `${Math.round(seconds)} s`,
    String(failures.length),
  ];
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      parser: { type: 'string' },
      inputs: { type: 'string', default: '100000' },
      from: { type: 'string', default: '0' },
      seed: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const known = fuzzTargets.map(({ name }) => name);
  const chosen = values.parser?.split(',') ?? known;
  const strange = chosen.filter((name) => !known.includes(name));
  if (strange.length > 0) {
    process.stderr.write(`No parser is called ${strange.join(', ')}. There are: ${known.join(', ')}.\n`);
    process.exitCode = 1;
    return;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const from = Number(values.only ?? values.from);
  const to = values.only === undefined ? Number(values.inputs) : from + 1;
  process.stderr.write(`Seed ${seed}\n`);
  const results: FuzzResult[] = [];
  for (const parser of chosen) {
    const result = await fuzzParser(parser, seed, from, to, path.resolve('.cache', 'fuzz'));
    results.push(result);
    process.stderr.write(`${cells(result).join('  ')}\n`);
    for (const { index, problem, saved } of result.failures)
      process.stderr.write(
        `FAILED ${parser} ${index}: ${problem}\n  ${saved}\n  npm run bench -- fuzz --parser ${parser} --seed ${seed} --only ${index}\n`,
      );
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ seed, results }, null, 2)}\n`);
  else process.stdout.write(`${table([head, ...results.map(cells)])}\n`);
  if (results.some(({ failures }) => failures.length > 0)) process.exitCode = 1;
}
