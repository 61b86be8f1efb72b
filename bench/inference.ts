/**
 * `npm run bench -- inference (--model <gguf> | --shape 124m|729m|0.6b) [--threads 1,2] [--peer llama.cpp] [--kernels avx2,portable] [--rounds 5] [--layout auto|2bit|1.6bit|1.25bit]
 * [--page] [--json]`: prefill of 128 and 512 tokens, decode of 64 (from nothing, and after 128), load time, memory. Every engine runs in its own process; rounds are interleaved, and the
 * median is taken. `--kernels` measures our runtime with each of them, beside the one that it takes here. `--page` writes the table into docs/results.md.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { availableKernels, measureMachine } from '../native/runtime.ts';
import './engines/llama.ts';
import type { Ready, Round, RoundResult } from './engines/protocol.ts';
import { installLlamaCpp } from '../main/llama-cpp/index.ts';
import { cacheFolder } from './cache.ts';
import './engines/tritsmith.ts';
import { type InferenceReport, inferencePage, inferenceText } from './inference-report.ts';
import { writeSection } from './results-page.ts';
import { shapes, writeStudent, type WeightType } from '../native/golden/student-files.ts';
import { median } from '../main/basics/numbers.ts';

interface Engine {
  engine: 'tritsmith' | 'llama.cpp';
  type: string;
  threads: number;
  path: string;
  process: ChildProcess;
  ready: Ready;
  prefill: number[];
  prefillLong: number[];
  decode: number[];
  prefillCpu: number[];
  decodeCpu: number[];
  decodeLater: number[];
  rss: number;
  anonymous: number | null;
  /** Memory bandwidth right before and after the engine's turn, their mean, by round. */
  limits: number[];
}

const isReady = (message: unknown): message is Ready => typeof (message as Ready).loadSeconds === 'number';

function start(
  script: string,
  args: string[],
  kernel: string | undefined,
): Promise<{ process: ChildProcess; ready: Ready }> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL(`./engines/${script}`, import.meta.url)), args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, ...(kernel !== undefined && { TRITSMITH_KERNEL: kernel }) },
    });
    child.once('message', (message) => {
      if (isReady(message)) resolve({ process: child, ready: message });
      else reject(new Error(`${script} spoke out of turn.`));
    });
    child.once('exit', (code) => reject(new Error(`${script} ${args.join(' ')} ended with code ${String(code)}.`)));
  });
}

function ask(child: ChildProcess, round: Round): Promise<RoundResult> {
  return new Promise((resolve, reject) => {
    child.removeAllListeners('exit');
    child.once('exit', (code) => reject(new Error(`An engine died with code ${String(code)}.`)));
    child.once('message', (message) => resolve(message as RoundResult));
    child.send(round);
  });
}

/** The file of a random student, written on first use. */
function studentFile(
  shape: keyof typeof shapes,
  weights: WeightType,
  table: 'f16' | 'q6_k',
  note: (text: string) => void,
): string {
  const path = join(cacheFolder(), `${shape}-${weights}-${table}.gguf`);
  if (!existsSync(path)) {
    note(`Writing ${basename(path)} ...`);
    writeStudent(path, shapes[shape], { weights, table, tied: true, subln: 'none', seed: 1 });
  }
  return path;
}

interface Settings {
  model?: string;
  shape?: keyof typeof shapes;
  threads: number[];
  peer: boolean;
  /** Of ours, beside the one that is taken. */
  kernels?: readonly string[];
  rounds: number;
  layout: string;
  note: (text: string) => void;
}

/** Runs the comparison; `note` receives progress lines. */
export async function compareInference(settings: Settings): Promise<InferenceReport> {
  const { model, shape, threads, note } = settings;
  const ours = model ?? studentFile(shape!, 'i2_s', 'q6_k', note);
  const plans: {
    script: string;
    engine: Engine['engine'];
    type: string;
    threads: number;
    path: string;
    args: string[];
    kernel?: string;
  }[] = [];
  const type = model === undefined ? 'I2_S + Q6_K' : basename(model);
  for (const kernel of [undefined, ...(settings.kernels ?? [])])
    for (const count of threads)
      plans.push({
        script: 'tritsmith.ts',
        engine: 'tritsmith',
        type: kernel === undefined ? type : `${type}, ${kernel}`,
        threads: count,
        path: ours,
        args: [ours, String(count), settings.layout],
        ...(kernel !== undefined && { kernel }),
      });
  if (settings.peer) {
    const folder = await installLlamaCpp();
    const files =
      shape === undefined
        ? [[basename(ours), ours, 'plain'] as const]
        : ([
            ['F16', studentFile(shape, 'f16', 'f16', note), 'plain'],
            ['Q4_0 + Q6_K', studentFile(shape, 'q4_0', 'q6_k', note), 'plain'],
            ['TQ2_0 + Q6_K', studentFile(shape, 'tq2_0', 'q6_k', note), 'plain'],
            ['TQ2_0 + Q6_K, flash attention', studentFile(shape, 'tq2_0', 'q6_k', note), 'flash'],
          ] as const);
    for (const [type, path, attention] of files)
      for (const count of threads)
        plans.push({
          script: 'llama.ts',
          engine: 'llama.cpp',
          type,
          threads: count,
          path,
          args: [folder, path, String(count), attention],
        });
  }

  const engines: Engine[] = [];
  // Engines then load compiled code: Node's type stripper would take 23 MiB of each process.
  flushCompileCache();
  try {
    for (const { script, args, kernel, ...plan } of plans) {
      note(`Loading ${plan.engine} ${plan.type}, ${plan.threads} threads ...`);
      try {
        const started = await start(script, args, kernel);
        engines.push({
          ...plan,
          ...started,
          prefill: [],
          prefillLong: [],
          decode: [],
          prefillCpu: [],
          decodeCpu: [],
          decodeLater: [],
          rss: 0,
          anonymous: null,
          limits: [],
        });
      } catch (error) {
        if (plan.engine === 'tritsmith') throw error;
        note(`llama.cpp can't run ${plan.type}: ${(error as Error).message}`);
      }
    }
    const bandwidth = new Map<number, number[]>(threads.map((count) => [count, []]));
    const loads: number[] = [];
    for (let round = 0; round < settings.rounds; round++) {
      note(`Round ${round + 1} of ${settings.rounds} ...`);
      for (const count of threads) bandwidth.get(count)!.push(measureMachine(count).memoryBandwidthBytesPerSecond);
      for (const engine of engines) {
        const limit = () => measureMachine(engine.threads).memoryBandwidthBytesPerSecond;
        const short = await ask(engine.process, { prompt: 128, decode: 64 });
        if (round === 0) {
          engine.rss = short.rssBytes;
          engine.anonymous = short.anonymousBytes;
        }
        engine.prefill.push(128 / short.prefillSeconds);
        engine.decodeLater.push(64 / short.decodeSeconds);
        engine.prefillCpu.push(128 / short.prefillCpuSeconds);
        const before = engine.engine === 'tritsmith' ? limit() : 0;
        const fresh = await ask(engine.process, { prompt: 1, decode: 64 });
        if (engine.engine === 'tritsmith') engine.limits.push((before + limit()) / 2);
        engine.decode.push(64 / fresh.decodeSeconds);
        engine.decodeCpu.push(64 / fresh.decodeCpuSeconds);
        const long = await ask(engine.process, { prompt: 512, decode: 0 });
        engine.prefillLong.push(512 / long.prefillSeconds);
      }
      loads.push(loadavg()[0]!);
    }
    const byThreads = Object.fromEntries(threads.map((count) => [String(count), median(bandwidth.get(count)!)]));
    return {
      model: shape ?? basename(ours),
      runs: engines.map((e) => ({
        engine: e.engine,
        type: e.type,
        threads: e.threads,
        prefillTokensPerSecond: median(e.prefill),
        prefill512TokensPerSecond: median(e.prefillLong),
        decodeTokensPerSecond: median(e.decode),
        decodeAfter128TokensPerSecond: median(e.decodeLater),
        prefillTokensPerCpuSecond: median(e.prefillCpu),
        decodeTokensPerCpuSecond: median(e.decodeCpu),
        rssBytes: e.rss,
        anonymousBytes: e.anonymous,
        bareBytes: e.ready.bareBytes,
        fileBytes: statSync(e.path).size,
        loadSeconds: e.ready.loadSeconds,
        ...(e.ready.bytesPerToken === undefined
          ? {}
          : {
              bandwidthShare: median(e.decode.map((speed, i) => (speed * e.ready.bytesPerToken!) / e.limits[i]!)),
            }),
      })),
      memoryBandwidthBytesPerSecond: byThreads[String(threads[0]!)]!,
      memoryBandwidthByThreads: byThreads,
      loadAverage: median(loads),
      cores: cpus().length,
    };
  } finally {
    for (const engine of engines) engine.process.disconnect();
  }
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      shape: { type: 'string' },
      threads: { type: 'string', default: '1,2' },
      peer: { type: 'string' },
      kernels: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      layout: { type: 'string', default: 'auto' },
      page: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const shape = values.shape as keyof typeof shapes | undefined;
  if ((values.model === undefined) === (shape === undefined) || (shape !== undefined && !(shape in shapes)))
    throw new Error(`Give either --model <gguf> or --shape ${Object.keys(shapes).join('|')}.`);
  if (values.peer !== undefined && values.peer !== 'llama.cpp') throw new Error('The only peer is llama.cpp.');
  const threads = values.threads.split(',').map(Number);
  if (threads.some((count) => !Number.isInteger(count) || count < 1))
    throw new Error('--threads takes numbers like 1,2.');
  const kernels = values.kernels?.split(',') ?? [];
  const missing = kernels.find((kernel) => !availableKernels().some((each) => each === kernel));
  if (missing !== undefined)
    throw new Error(`This processor has no kernel ${missing}; it has ${availableKernels().join(', ')}.`);
  const report = await compareInference({
    model: values.model,
    shape,
    threads,
    kernels,
    peer: values.peer !== undefined,
    rounds: Number(values.rounds),
    layout: values.layout,
    note: (text) => process.stderr.write(`${text}\n`),
  });
  if (values.page)
    writeSection(`inference ${args.filter((word) => word !== '--page').join(' ')}`, inferencePage(report));
  process.stdout.write(`${values.json ? JSON.stringify(report, null, 2) : inferenceText(report)}\n`);
}
