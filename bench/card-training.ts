/** A training step on the graphics card: its speed beside the processor's and PyTorch's on CUDA, and what it moves beside the least that a step must. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median } from '../main/basics/numbers.ts';
import { Random } from '../main/basics/random.ts';
import { optimiserSettings } from '../main/contract/recipe.ts';
import type { Backend } from '../main/graph/backend.ts';
import { Graph } from '../main/graph/graph.ts';
import { matmul } from '../main/graph/operations.ts';
import { program } from '../main/graph/passes.ts';
import { createSession } from '../main/graph/session.ts';
import type { WorkCounts } from '../main/graph/webgpu/device.ts';
import { initialParameters } from '../main/models/initial-parameters.ts';
import { keptLayerBytes } from '../main/models/layer-sessions.ts';
import { Network } from '../main/models/network.ts';
import { countParameters, ParameterBuffer } from '../main/models/parameters.ts';
import { packMicroBatch } from '../main/training/batches.ts';
import { AdamW } from '../main/training/optimiser.ts';
import { TrainingStep } from '../main/training/training-step.ts';
import { openCard } from './card.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { table } from './table.ts';
import { type TrainingShape, trainingShapes } from './training-shapes.ts';

interface OnCard {
  /** Seconds until everything is compiled. */
  readonly startSeconds: number;
  readonly kernels: number;
  readonly stepSeconds: number;
  readonly counts: WorkCounts;
  /** Bytes of all buffers after the steps. */
  readonly cardBytes: number;
  readonly peakGflops: number;
}

/** Speed of a product of two matrices that lie on the card: of the largest of some sizes that takes less than a second. */
async function productPeak(backend: Backend): Promise<number> {
  const graph = new Graph('peak');
  const product = matmul(graph, graph.input('a', ['n', 'n']), graph.input('b', ['n', 'n']), ['n', 'n']);
  const session = await createSession(program('peak', graph, { product }), { threads: 1, backend });
  let best = 0;
  for (const n of [256, 1024, 4096]) {
    const [a, b, out] = [0.5, 0.25, 0].map((value) => new Float32Array(n * n).fill(value)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    backend.memory.keep(a, b, out);
    let seconds = Infinity;
    for (let round = 0; round < 4; round += 1) {
      const started = performance.now();
      await session.run({ n }, { a, b }, { product: out });
      await backend.memory.read(out);
      seconds = Math.min(seconds, (performance.now() - started) / 1000);
    }
    backend.memory.drop(a, b, out);
    best = Math.max(best, (2 * n ** 3) / seconds / 1e9);
    // The next size is 64 times the work.
    if (seconds > 0.05) break;
  }
  await session.release();
  return best;
}

/**
 * Bytes that a fused step moves at least: weights of the body are read by both passes (int8 forward, float32 backward) and their gradients written, what layers keep is
 * written and read, the head is read for logits and twice for gradients and its gradient written.
 */
function leastBytes({ configuration, batch, length }: TrainingShape): number {
  const { total, body } = countParameters(configuration);
  const head = configuration.vocabSize * configuration.hiddenSize;
  const kept = configuration.layers * keptLayerBytes(configuration, { batch, length }, { onCard: true });
  return (1 + 4 + 4) * body + 8 * (total - body - head) + 2 * kept + 4 * 4 * head;
}

async function measure({ configuration, batch, length, learned }: TrainingShape, steps: number) {
  const card = await openCard();
  const { device, backend } = card;
  const peakGflops = await productPeak(backend);
  const random = new Random(1);
  const parameters = initialParameters(configuration, () => random.normal());
  const gradients = new ParameterBuffer(parameters.specifications);
  const optimiser = new AdamW(parameters, optimiserSettings.parse({ learningRate: 1e-4 }));
  const options = { threads: availableParallelism(), backend };
  const before = device.pipelineCount;
  const started = performance.now();
  const network = await Network.create(configuration, parameters, { ...options, mode: 'training' });
  const trainingStep = await TrainingStep.create(network, null, options);
  const startSeconds = (performance.now() - started) / 1000;
  const kernels = device.pipelineCount - before;
  const seconds: number[] = [];
  let counts = device.takeCounts();
  for (let step = 1; step <= steps + 1; step += 1) {
    const rows = Array.from({ length: batch }, () => ({
      ids: Int32Array.from({ length }, () => random.below(configuration.vocabSize)),
      responseStart: length - learned,
    }));
    device.takeCounts();
    const begun = performance.now();
    await trainingStep.run(step, [packMicroBatch(rows)], gradients);
    optimiser.step(gradients, step, 1e-4);
    network.refreshTernary();
    seconds.push((performance.now() - begun) / 1000);
    counts = device.takeCounts();
  }
  const cardBytes = device.bytes;
  device.close();
  const stepSeconds = median(seconds.slice(1));
  const found: OnCard = { startSeconds, kernels, stepSeconds, counts, cardBytes, peakGflops };
  return { name: card.name, found };
}

const python = process.env.PYTHON ?? 'python3';

/** Tokens a second of PyTorch on CUDA; null where there is none. */
function onCuda({ configuration, batch, length, learned }: TrainingShape, steps: number): number | null {
  const asked = spawnSync(python, ['-c', 'import torch; assert torch.cuda.is_available()'], { stdio: 'ignore' });
  if (asked.status !== 0) return null;
  const script = fileURLToPath(new URL('./engines/pytorch_training.py', import.meta.url));
  const job = { shape: configuration, batch, length, learned, threads: 1, steps, bf16: false, device: 'cuda' };
  const ran = spawnSync(python, [script], { encoding: 'utf8', input: JSON.stringify(job) });
  if (ran.status !== 0) throw new Error(`PyTorch on CUDA ended with ${String(ran.status)}: ${ran.stderr}`);
  return (JSON.parse(ran.stdout) as { tokensPerSecond: number }).tokensPerSecond;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

export async function runOnCard(
  shape: string,
  { steps, page, json }: { steps: number; page: boolean; json: boolean },
): Promise<void> {
  const given = trainingShapes[shape]!;
  const { configuration, batch, length } = given;
  const { name, found } = await measure(given, steps);
  const cuda = onCuda(given, steps);
  const least = leastBytes(given);
  const { counts, stepSeconds, peakGflops } = found;
  const gflops = counts.flops / stepSeconds / 1e9;
  if (json) {
    process.stdout.write(`${JSON.stringify({ shape, card: name, ...found, leastBytes: least, cuda }, null, 2)}\n`);
    return;
  }
  const rows = [
    ['', shape],
    ['tokens/s', ((batch * length) / stepSeconds).toFixed(1)],
    ...(cuda === null ? [] : [['PyTorch on CUDA, fp32, tokens/s', cuda.toFixed(0)]]),
    ['GFLOP/s of the whole step', gflops.toFixed(1)],
    [
      'share of the card’s own best product',
      `${((100 * gflops) / peakGflops).toFixed(0)} % of ${peakGflops.toFixed(1)}`,
    ],
    ['kernels, seconds until they are compiled', `${String(found.kernels)}, ${found.startSeconds.toFixed(1)}`],
    ['dispatches in submissions', `${String(counts.dispatches)} in ${String(counts.submissions)}`],
    [
      'MB that kernels bind, beside the least of a fused step',
      `${megabytes(counts.boundBytes)}, ${megabytes(least)} (${(counts.boundBytes / least).toFixed(1)}x)`,
    ],
    ['MB to the card and back', `${megabytes(counts.uploadedBytes)}, ${megabytes(counts.downloadedBytes)}`],
    ['MB on the card', megabytes(found.cardBytes)],
  ];
  const title = `${shape}: ${(countParameters(configuration).total / 1e6).toFixed(1)} M parameters, ${String(batch)} x ${String(length)} tokens, median of ${String(steps)} steps`;
  process.stdout.write(`${title}\n${name}\n\n${table(rows)}\n`);
  if (page)
    writeSection(
      `training --backend webgpu --shape ${shape}`,
      [`## A training step on a graphics card: ${title}`, `${circumstances()}. ${name}.`, markdownTable(rows)].join(
        '\n\n',
      ),
    );
}
