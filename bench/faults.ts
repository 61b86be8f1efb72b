/**
 * `npm run bench -- faults [--kills N] [--seed N]`: kills worker, workbench and both at random moments of tiny experiments and compares what
 * they end with bit for bit. Exit code 1 when anything differs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Kill, killMarathon } from './faults/kill-marathon.ts';
import { table } from './table.ts';

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      kills: { type: 'string', default: '500' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      json: { type: 'boolean', default: false },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-faults-'));
  try {
    const result = await killMarathon(folder, Number(values.kills), Number(values.seed), (line) =>
      process.stderr.write(`${line}\n`),
    );
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else {
      const { kills, finished, comparedFiles, faults, seconds, seed } = result;
      process.stdout.write(
        `${killTable(kills)}\n\nSeed ${seed}: ${kills.length} kills, ${finished} experiments went on to their end, ${comparedFiles} files compared, ${faults.length} differ; ${seconds.toFixed(0)} s\n${faults.join('\n')}\n`,
      );
    }
    if (result.faults.length > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function killTable(kills: readonly Kill[]): string {
  const stages = [...new Set(kills.map(({ stage }) => stage))];
  const count = (wanted: Partial<Kill>): string =>
    String(
      kills.filter((kill) => Object.entries(wanted).every(([key, value]) => kill[key as keyof Kill] === value)).length,
    );
  return table([
    ['killed in', 'worker', 'workbench', 'both', 'of these: writing a checkpoint', 'an export'],
    ...stages.map((stage) => [
      stage ?? '(before any job)',
      count({ stage, victim: 'worker' }),
      count({ stage, victim: 'workbench' }),
      count({ stage, victim: 'both' }),
      count({ stage, aim: 'checkpoint' }),
      count({ stage, aim: 'export' }),
    ]),
  ]);
}
