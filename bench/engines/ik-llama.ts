/** ik_llama.cpp's own `llama-bench`, built beside this project: `ik-llama.ts <build folder> <gguf> <threads>`. Each round is a process that loads the file and warms up. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serve } from './protocol.ts';

/** The file's F16 weights as IQ2_BN, ik_llama.cpp's type for BitNet, written by its own `llama-quantize`. */
export async function quantiseForIk(build: string, f16: string, target: string): Promise<void> {
  await promisify(execFile)(join(build, 'bin', 'llama-quantize'), [f16, target, 'IQ2_BN']);
}

interface BenchLine {
  readonly n_prompt: number;
  readonly n_gen: number;
  readonly avg_ts: number;
}

function main([build, path, threads]: string[]): void {
  /** @returns tokens per second of each test */
  const bench = async (tests: readonly string[]): Promise<BenchLine[]> => {
    const args = ['-m', path!, '-t', threads!, '-r', '1', '-o', 'json', ...tests];
    const { stdout } = await promisify(execFile)(join(build!, 'bin', 'llama-bench'), args);
    return JSON.parse(stdout) as BenchLine[];
  };
  serve(
    { loadSeconds: null, bareBytes: 0, detail: 'llama-bench' },
    async ({ prompt, decode }) => {
      // A prompt of one token is none: llama-bench decodes from an empty conversation.
      const filled = prompt > 1;
      const tests = [
        ...['-p', filled ? String(prompt) : '0'],
        ...['-n', filled ? '0' : String(decode)],
        ...(filled && decode > 0 ? ['-gp', `${prompt},${decode}`] : []),
      ];
      const lines = await bench(tests);
      const seconds = (tokens: number, decoding: boolean): number =>
        tokens / (lines.find(({ n_gen }) => n_gen > 0 === decoding)?.avg_ts ?? Infinity);
      return {
        prefillSeconds: seconds(prompt, false),
        decodeSeconds: seconds(decode, true),
        prefillCpuSeconds: null,
        decodeCpuSeconds: null,
      };
    },
    { elsewhere: true },
  );
}

// The benchmark imports this file too.
if (import.meta.main) main(process.argv.slice(2));
