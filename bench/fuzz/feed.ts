/** Feeds a parser damaged inputs and reports on file descriptor 3, one line per event. */
import { mkdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { TritsmithError } from '../../main/contract/errors.ts';
import type { ChildReport } from './campaign.ts';
import { inputOf } from './inputs.ts';
import { sentinel } from './sentinel.ts';
import type { FuzzTarget, Sample } from './target.ts';

/** Most that the resident memory may grow while one small input is read. */
const mostGrowthBytes = 384 * 1024 ** 2;

const report = (event: ChildReport) => writeSync(3, `${JSON.stringify(event)}\n`);
const peakBytes = () => process.resourceUsage().maxRSS * 1024;

function lay(folder: string, samples: readonly Sample[]): void {
  samples.forEach(({ files }, i) => {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(folder, String(i), name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  });
}

/** What the parser made of the input. */
async function outcome(
  target: FuzzTarget,
  place: string,
  damaged: string,
): Promise<'accepted' | 'refused' | 'stopped' | Error> {
  try {
    await target.consume(place, damaged);
    return 'accepted';
  } catch (thrown) {
    if (!(thrown instanceof TritsmithError) || thrown.code === 'internal') return thrown as Error;
    return /(takes|needs) more than/.test(`${thrown.message} ${thrown.reason ?? ''}`) ? 'stopped' : 'refused';
  }
}

/**
 * Feeds inputs `from` to `to`. The undamaged samples come first: a parser that refuses those would be fuzzed in vain.
 * @throws what the parser throws at an undamaged sample
 */
export async function feed(target: FuzzTarget, seed: number, from: number, to: number, folder: string): Promise<void> {
  console.warn = () => undefined;
  const samples = await target.samples();
  lay(folder, samples);
  for (const [i, { damaged }] of samples.entries()) await target.consume(path.join(folder, String(i)), damaged);
  const watcher = sentinel();
  const counts = { inputs: 0, accepted: 0, refused: 0, stopped: 0, slowest: 0, peakBytes: 0 };
  for (let index = from; index < to; index++) {
    const { sample, bytes } = inputOf(target.name, samples, seed, index);
    const { damaged } = samples[sample]!;
    const place = path.join(folder, String(sample));
    const file = path.join(place, damaged);
    // A file that is written over is flushed to the disk by some file systems, which takes longer than reading it.
    rmSync(file);
    writeFileSync(file, bytes);
    report({ begins: index, file });
    const before = peakBytes();
    const started = performance.now();
    watcher.watch(place);
    const result = await outcome(target, place, damaged);
    const problems = watcher.offences();
    watcher.watch(null);
    counts.slowest = Math.max(counts.slowest, performance.now() - started);
    counts.peakBytes = peakBytes();
    counts.inputs++;
    if (typeof result === 'string') counts[result]++;
    else problems.push(`threw ${String(result.stack ?? result).slice(0, 1500)}`);
    const growth = counts.peakBytes - before;
    if (growth > mostGrowthBytes) problems.push(`took ${Math.round(growth / 1024 ** 2)} MB for ${bytes.length} bytes`);
    if (problems.length > 0) {
      // The next input takes its place before anybody else can have looked at it.
      const kept = path.join(folder, `failed-${String(index)}`, path.basename(damaged));
      mkdirSync(path.dirname(kept));
      writeFileSync(kept, bytes);
      for (const problem of problems) report({ failed: index, problem, file: kept });
    }
    if (index % 500 === 0 || index === to - 1 || problems.length > 0) report({ counts });
  }
}
