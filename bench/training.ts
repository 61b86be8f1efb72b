/**
 * `npm run bench -- training [--shape 15m|110m|600m|135m-rows] [--backend webgpu] [--threads N] [--rounds N] [--steps N] [--page] [--json]`: one optimiser step (forward, backward, update) of a
 * Qwen3-shaped student with BitLinear and SubLN, with float32 products, with gradients in 16-bit fixed point and with products of factors rounded to bfloat16, beside the same model in PyTorch eager (fp32 and bf16 autocast) where `python3` has torch,
 * interleaved, each in a process of its own, on the same threads; and beside this machine's fp32 matrix-multiply peak. `--page` writes the tables into
 * docs/results.md. With `--backend webgpu` the step runs on the graphics card (card-training.ts).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { native } from '../native/index.ts';
import { optimiserSettings } from '../main/contract/recipe.ts';
import { Graph } from '../main/graph/graph.ts';
import { exactByteProducts } from '../main/graph/exact-byte-products.ts';
import { matmul } from '../main/graph/operations.ts';
import { program } from '../main/graph/passes.ts';
import { createSession } from '../main/graph/session.ts';
import { initialParameters } from '../main/models/initial-parameters.ts';
import { Network } from '../main/models/network.ts';
import { countParameters, ParameterBuffer } from '../main/models/parameters.ts';
import { packMicroBatch } from '../main/training/batches.ts';
import { AdamW } from '../main/training/optimiser.ts';
import { Random } from '../main/basics/random.ts';
import { TrainingStep } from '../main/training/training-step.ts';
import { runOnCard } from './card-training.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { median } from '../main/basics/numbers.ts';
import { loadNote, table } from './table.ts';
import { type TrainingShape, trainingShapes } from './training-shapes.ts';

/** Float32 throughout, gradients of ternary layers in 16-bit fixed point, or factors rounded to bfloat16. */
type Products = 'float32' | 'int16' | 'rounded';

interface Speed {
  tokensPerSecond: number;
  peakRssBytes: number;
}

interface Own extends Speed {
  matmulPeakGflops: number;
  achievedGflops: number;
  matmulShare: number;
  /** Milliseconds of one step by operator, slowest first. */
  operators: [name: string, milliseconds: number][];
  outsideMilliseconds: number;
}

/**
 * Floating-point operations of the matrix products of one step: every projection and the head forward, for the input's and for the weight's
 * gradient, and the two products of attention (all T positions, as they are computed) with their four gradients.
 */
function matmulOperations({ configuration, batch, length, learned }: TrainingShape): number {
  const { layers, hiddenSize, heads, kvHeads, headSize, ffnSize, vocabSize } = configuration;
  const attentionWeights = hiddenSize * headSize * (2 * heads + 2 * kvHeads);
  const body = layers * (attentionWeights + 3 * hiddenSize * ffnSize);
  const tokens = batch * length;
  const products = body * tokens + vocabSize * hiddenSize * batch * learned;
  return 6 * products + 3 * 2 * 2 * layers * tokens * length * heads * headSize;
}

/** Best speed of a 2048 x 2048 x 2048 product in fp32, the same operator as the graphs use. */
async function matmulPeak(threads: number): Promise<number> {
  const n = 2048;
  const graph = new Graph('peak');
  const product = matmul(graph, graph.input('a', [n, n]), graph.input('b', [n, n]), [n, n]);
  const session = await createSession(program('peak', graph, { product }), { threads });
  const feeds = { a: new Float32Array(n * n).fill(0.5), b: new Float32Array(n * n).fill(0.25) };
  const results = { product: new Float32Array(n * n) };
  let best = Infinity;
  for (let round = 0; round < 8; round += 1) {
    const started = performance.now();
    await session.run({}, feeds, results);
    best = Math.min(best, performance.now() - started);
  }
  await session.release();
  return (2 * n ** 3) / best / 1e6;
}

/** Milliseconds by operator over all profiles in a folder. */
function operatorTimes(folder: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const file of readdirSync(folder))
    for (const event of JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      cat?: string;
      name?: string;
      dur?: number;
      args?: { op_name?: string };
    }[])
      if (event.cat === 'Node' && event.name?.endsWith('_kernel_time') && event.args?.op_name)
        times.set(event.args.op_name, (times.get(event.args.op_name) ?? 0) + (event.dur ?? 0) / 1000);
  return times;
}

const profiledSteps = 3;

/** Runs in the child: some steps, then three more under the profiler. */
async function measure(shape: string, threads: number, steps: number, products: Products): Promise<Own> {
  const { configuration, batch, length, learned } = trainingShapes[shape]!;
  const random = new Random(1);
  const parameters = initialParameters(configuration, () => random.normal());
  const gradients = new ParameterBuffer(parameters.specifications);
  const optimiser = new AdamW(parameters, optimiserSettings.parse({ learningRate: 1e-4 }));
  const tokens = batch * length;
  let done = 0;
  const timed = async (count: number, profile?: string): Promise<number[]> => {
    const options = { threads, ...(profile === undefined ? {} : { profile }) };
    const network = await Network.create(configuration, parameters, {
      ...options,
      mode: 'training',
      arithmetic: { gradients: products === 'int16' ? 'int16' : 'float32' },
      roundedProducts: products === 'rounded',
    });
    const trainingStep = await TrainingStep.create(network, null, options);
    const seconds: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const rows = Array.from({ length: batch }, () => ({
        ids: Int32Array.from({ length }, () => random.below(configuration.vocabSize)),
        responseStart: length - learned,
      }));
      const started = performance.now();
      done += 1;
      await trainingStep.run(done, [packMicroBatch(rows)], gradients);
      optimiser.step(gradients, done, 1e-4);
      network.refreshTernary();
      seconds.push((performance.now() - started) / 1000);
    }
    await trainingStep.release();
    await network.release();
    return seconds;
  };
  const seconds = median((await timed(steps + 1)).slice(1));
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  const matmulPeakGflops = await matmulPeak(threads);
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-profile-'));
  let operators: [string, number][];
  let profiledMilliseconds: number;
  try {
    const profiled = await timed(profiledSteps, join(folder, 'p'));
    profiledMilliseconds = (1000 * profiled.reduce((sum, value) => sum + value, 0)) / profiledSteps;
    operators = [...operatorTimes(folder)]
      .map(([name, milliseconds]): [string, number] => [name, milliseconds / profiledSteps])
      .sort((a, b) => b[1] - a[1]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const matmulMilliseconds = operators
    .filter(([name]) => /MatMul|Gemm/.test(name))
    .reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  return {
    tokensPerSecond: tokens / seconds,
    peakRssBytes,
    matmulPeakGflops,
    achievedGflops: matmulOperations(trainingShapes[shape]!) / seconds / 1e9,
    matmulShare: matmulMilliseconds / profiledMilliseconds,
    operators,
    outsideMilliseconds: profiledMilliseconds - operators.reduce((sum, [, milliseconds]) => sum + milliseconds, 0),
  };
}

function child<T>(program: string, args: string[], input?: string): T {
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    input: input ?? '',
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  });
  if (result.status !== 0) throw new Error(`${program} ended with ${result.signal ?? result.status}`);
  return JSON.parse(result.stdout) as T;
}

const python = process.env.PYTHON ?? 'python3';

function pytorch(shape: string, threads: number, steps: number, bf16: boolean): Speed {
  const { configuration, ...rows } = trainingShapes[shape]!;
  const script = fileURLToPath(new URL('./engines/pytorch_training.py', import.meta.url));
  return child(python, [script], JSON.stringify({ shape: configuration, ...rows, threads, steps, bf16 }));
}

function medianSpeed(runs: readonly Speed[]): Speed | null {
  if (runs.length === 0) return null;
  return {
    tokensPerSecond: median(runs.map((run) => run.tokensPerSecond)),
    peakRssBytes: median(runs.map((run) => run.peakRssBytes)),
  };
}

const options = {
  shape: { type: 'string', default: '15m' },
  threads: { type: 'string', default: String(availableParallelism()) },
  rounds: { type: 'string', default: '5' },
  steps: { type: 'string', default: '3' },
  /** How the child process that measures one of our ways multiplies. */
  products: { type: 'string', default: 'float32' },
  /** `webgpu`: on the graphics card. */
  backend: { type: 'string', default: 'cpu' },
  page: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const { shape } = values;
  if (trainingShapes[shape] === undefined)
    throw new Error(`unknown shape ${shape}; known are ${Object.keys(trainingShapes).join(', ')}`);
  const threads = Number(values.threads);
  const steps = Number(values.steps);
  if (values.backend === 'webgpu') {
    await runOnCard(shape, { steps, page: values.page, json: values.json });
    return;
  }
  const hasTorch = spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0;
  const fixedPoint = await exactByteProducts();
  const ours: Own[] = [];
  const int16: Own[] = [];
  const rounded: Own[] = [];
  const fp32: Speed[] = [];
  const bf16: Speed[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const own = (products: Products): Own =>
      child(process.execPath, [fileURLToPath(import.meta.url), ...args, '--products', products]);
    ours.push(own('float32'));
    if (fixedPoint) int16.push(own('int16'));
    rounded.push(own('rounded'));
    if (!hasTorch) continue;
    fp32.push(pytorch(shape, threads, steps, false));
    bf16.push(pytorch(shape, threads, steps, true));
  }
  const own = medianSpeed(ours)!;
  const peers = {
    tritsmithFixedPoint: medianSpeed(int16),
    tritsmithRounded: medianSpeed(rounded),
    pytorch: medianSpeed(fp32),
    pytorchBf16: medianSpeed(bf16),
  };
  const matmulPeakGflops = Math.max(...ours.map((run) => run.matmulPeakGflops));
  const achievedGflops = median(ours.map((run) => run.achievedGflops));
  const profile = ours.at(-1)!;
  if (values.json) {
    const answer = { shape, threads, tritsmith: own, ...peers, matmulPeakGflops, achievedGflops };
    process.stdout.write(
      `${JSON.stringify({ ...answer, matmulShare: profile.matmulShare, operators: profile.operators }, null, 2)}\n`,
    );
    return;
  }
  const row = (name: string, speed: Speed): string[] => [
    name,
    speed.tokensPerSecond.toFixed(0),
    peers.pytorch ? `${(speed.tokensPerSecond / peers.pytorch.tokensPerSecond).toFixed(2)}x` : '',
    (speed.peakRssBytes / 1e9).toFixed(2),
  ];
  const { configuration, batch, length, learned } = trainingShapes[shape];
  const title = `${shape}: ${(countParameters(configuration).total / 1e6).toFixed(1)} M parameters, ${batch} x ${length} tokens${learned < length - 1 ? ` (${learned} of each learned)` : ''}, ${threads} threads, median of ${values.rounds} rounds`;
  const speeds = [
    ['engine', 'tokens/s', 'PyTorch fp32 = 1', 'peak RSS GB'],
    row('tritsmith', own),
    ...(peers.tritsmithFixedPoint ? [row('tritsmith, 16-bit gradients', peers.tritsmithFixedPoint)] : []),
    row(`tritsmith, rounded products (${native.productSets()[0]})`, peers.tritsmithRounded!),
    ...(peers.pytorch ? [row('PyTorch eager fp32', peers.pytorch)] : []),
    ...(peers.pytorchBf16 ? [row('PyTorch bf16 autocast', peers.pytorchBf16)] : []),
  ];
  const products = `Matrix products: ${achievedGflops.toFixed(0)} of ${matmulPeakGflops.toFixed(0)} GFLOP/s (${((100 * achievedGflops) / matmulPeakGflops).toFixed(0)} % of the measured fp32 peak over the whole step); ${(100 * profile.matmulShare).toFixed(0)} % of the step's time is in them.${hasTorch ? '' : ` PyTorch was not measured: ${python} cannot import torch.`}`;
  const operators = [
    ['operator (last round, profiled step)', 'ms'],
    ...profile.operators.slice(0, 12).map(([name, ms]) => [name, ms.toFixed(1)]),
    ['outside the graphs (update, gather, calls, first use of buffers)', profile.outsideMilliseconds.toFixed(1)],
  ];
  const load = loadNote(loadavg()[0]!, availableParallelism(), threads);
  process.stdout.write(`${[title, table(speeds), products, table(operators)].join('\n\n')}\n${load}\n`);
  if (values.page)
    writeSection(
      `training --shape ${shape}`,
      [
        `## Training speed: ${title}`,
        `${circumstances()}. One optimiser step (forward, backward, update) of a Qwen3-shaped student with BitLinear and SubLN. ${load}`,
        markdownTable(speeds),
        products,
        markdownTable(operators),
      ].join('\n\n'),
    );
}

if (import.meta.main) {
  const { values } = parseArgs({ options });
  process.stdout.write(
    `${JSON.stringify(await measure(values.shape, Number(values.threads), Number(values.steps), values.products as Products))}\n`,
  );
}
