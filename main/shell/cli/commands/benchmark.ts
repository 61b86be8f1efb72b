/** `benchmark`: how fast an exported model runs here, and what it takes. */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { benchmarkRequest, type FileBenchmark } from '../../../contract/helper-protocol.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { benchmarkFile } from '../../../workbench/results/benchmark-file.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { bytes, count } from '../quantities.ts';
import { cancellable, modelOption, runnableModel, runtimePort } from '../runnable-model.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';

interface BenchmarkOptions extends CommonOptions {
  readonly model: TrainedModel;
  readonly threads?: number[];
  readonly prompts: number[];
  readonly decode: number;
  readonly rounds: number;
}

export function benchmarkCommand(shell: Shell): Command {
  return newCommand(
    'benchmark',
    'measure prefill, decode, loading and memory of an exported model: medians over several processes, taken in turns',
    'benchmark student.gguf --threads 1,2 --json',
  )
    .argument('<model>', 'a .gguf file, or an experiment: its id, the beginning of its id, or "latest"')
    .addOption(modelOption())
    .option('--threads <list>', 'thread counts (default: 1 and as many as the processor has)', wholeNumbers)
    .option(
      '--prompts <list>',
      "lengths of the prompt in tokens; those beyond the model's context are left out",
      wholeNumbers,
      [32, 128, 512],
    )
    .option('--decode <number>', 'tokens written after each prompt', wholeNumber(1), 64)
    .option('--rounds <number>', 'processes for each thread count', wholeNumber(1), 3)
    .action((reference: string, options: BenchmarkOptions) =>
      guarded(shell, options, () => benchmark(shell, reference, options)),
    );
}

async function benchmark(shell: Shell, reference: string, options: BenchmarkOptions): Promise<void> {
  const { path } = await runnableModel(shell, reference, options);
  const threads = options.threads ?? [...new Set([1, availableParallelism()])];
  const parsed = benchmarkRequest.safeParse({
    path,
    threads,
    promptLengths: options.prompts,
    decodeTokens: options.decode,
  });
  if (!parsed.success)
    throw new TritsmithError('bad-input', 'cli.benchmark-options', {
      problems: parsed.error.issues.map(({ path: where, message }) => `${where.join('.')}: ${message}`),
    });
  await cancellable(shell, async (cancel) => {
    const runs = await benchmarkFile(
      runtimePort,
      parsed.data,
      options.rounds,
      (done, total) => {
        shell.err(`measured ${String(done)} of ${String(total)}\n`);
      },
      cancel,
    );
    if (cancel.aborted) {
      shell.exitCode = exitCodes.cancelled;
      shell.err('Cancelled; the figures are of the rounds before.\n');
    } else if (runs.length === 0) throw new TritsmithError('bad-input', 'cli.prompts-too-long');
    const fileBytes = statSync(path).size;
    if (options.json === true)
      printJson(shell, {
        model: path,
        fileBytes,
        runs: runs.map((run) => ({ engine: 'tritsmith', ...run, fileBytes })),
      });
    else shell.out(`${path}: ${bytes(fileBytes)}\n${benchmarkTable(runs)}`);
  });
}

function benchmarkTable(runs: readonly FileBenchmark[]): string {
  return textTable(
    [
      { title: 'threads', align: 'right' },
      { title: 'prompt' },
      { title: 'prefill' },
      { title: 'decode' },
      { title: 'load' },
      { title: 'memory' },
    ],
    runs.map((run) => [
      String(run.threads),
      `${String(run.promptTokens)} tokens`,
      `${count(run.prefillTokensPerSecond)} tok/s`,
      `${count(run.decodeTokensPerSecond)} tok/s`,
      `${(run.loadSeconds * 1000).toPrecision(3)} ms`,
      bytes(run.rssBytes),
    ]),
  );
}

function wholeNumbers(text: string): number[] {
  const values = text.split(',').map(Number);
  if (values.some((value) => !Number.isSafeInteger(value) || value < 1))
    throw new InvalidArgumentError('It must be whole numbers from 1 on, with commas between them.');
  return [...new Set(values)];
}
