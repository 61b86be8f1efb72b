/**
 * `npm run bench -- as-processor avx2|avx-vnni <command> [arguments]`: runs a command as on a processor without AVX-512 (and without AVX-VNNI), so that one machine
 * shows what others do: which kernels are taken, what a run ends with, how fast it is. For Linux on x86-64 with `cpuid_fault` among the processor's flags, with a
 * C++ compiler. What asks CPUID sees no AVX-512: our kernels, onnxruntime, llama.cpp, PyTorch. The C library chose its copying functions before and keeps them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache.ts';

const processors = ['avx2', 'avx-vnni'] as const;
export type HiddenProcessor = (typeof processors)[number];

/** Whether this system can hide instructions at all. */
export function canHideInstructions(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  return /^flags.* cpuid_fault /m.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

/** The library that hides them, compiled once. @throws Error with the compiler's words */
function library(): string {
  const source = fileURLToPath(new URL('./as-processor/hide-instructions.cc', import.meta.url));
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const path = join(cacheFolder(), `hide-instructions-${digest}.so`);
  if (existsSync(path)) return path;
  const making = `${path}.${process.pid}`;
  const options = ['-std=c++17', '-O2', '-Wall', '-Wextra', '-shared', '-fPIC', '-fvisibility=hidden'];
  const compiled = spawnSync(process.env.CXX ?? 'g++', [...options, source, '-o', making], { encoding: 'utf8' });
  if (compiled.status !== 0) throw new Error(`The library could not be compiled: ${compiled.stderr}`);
  renameSync(making, path);
  return path;
}

/** Environment of a process that is to find such a processor. */
export function environmentAs(processor: HiddenProcessor): Record<string, string> {
  return {
    LD_PRELOAD: [library(), process.env.LD_PRELOAD].filter(Boolean).join(':'),
    TRITSMITH_AS_PROCESSOR: processor,
  };
}

export async function run([processor, command, ...args]: string[]): Promise<void> {
  const known = processors.find((name) => name === processor);
  if (known === undefined || command === undefined)
    throw new Error(`Usage: npm run bench -- as-processor <${processors.join(' | ')}> <command> [arguments]`);
  if (!canHideInstructions()) throw new Error('This processor or system cannot hide instructions (no CPUID faulting).');
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...environmentAs(known) } });
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status) => {
      process.exitCode = status ?? 1;
      resolve();
    });
  });
}
