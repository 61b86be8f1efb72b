/**
 * Which decoder layers a model needs least on a task: by how much its answers change without them, D(all || without) at the answers' positions
 * (docs/method.md, 9).
 */
import type { Network } from '../../models/network.ts';
import type { ScoringHead } from '../../models/scoring-head.ts';
import type { MicroBatch } from '../../training/training-step.ts';
import { logSumExp } from '../task/label-scores.ts';

/** Positions that are looked at: enough to tell layers apart, few enough that their logits of a large vocabulary fit. */
const mostPositions = 128;

/** The layers go in this many turns of about equal size, and the rest is measured anew before each: what is left takes over from what went. */
const turns = 3;

/** Layers that leave in each turn, most first: 10 leave as 4, 3, 3. */
export function layersOfTurns(leaving: number): number[] {
  return Array.from({ length: Math.min(turns, leaving) }, (_, turn) =>
    Math.ceil((leaving - turn) / Math.min(turns, leaving)),
  );
}

/** Networks' passes that `leastImportant` makes, the first with all layers included. */
export function importancePasses(layers: number, keep: number): number {
  let left = layers;
  let passes = 1;
  for (const leaving of layersOfTurns(layers - keep)) {
    passes += left;
    left -= leaving;
  }
  return passes;
}

/** In place: logits `[n, V]` to log-probabilities. */
function logSoftmaxRows(logits: Float32Array, width: number): void {
  for (let start = 0; start < logits.length; start += width) {
    const row = logits.subarray(start, start + width);
    const shift = logSumExp(row);
    for (let index = 0; index < width; index += 1) row[index]! -= shift;
  }
}

/** Mean D(p || q) over rows, nats; both are log-probabilities `[n, V]`. */
function meanDivergence(p: Float32Array, q: Float32Array, width: number): number {
  let sum = 0;
  for (let index = 0; index < p.length; index += 1) sum += Math.exp(p[index]!) * (p[index]! - q[index]!);
  return sum / (p.length / width);
}

export interface LayerChoice {
  /** Layers that stay, from 0, in order. */
  readonly kept: readonly number[];
  /** Of each layer that leaves, in the order of leaving: the divergence without it and those before it in earlier turns, nats a token. */
  readonly left: readonly { readonly layer: number; readonly divergence: number }[];
}

/**
 * @param network in inference mode
 * @param batches labelled rows; the positions that predict their answers are looked at, at most 128
 * @param keep layers that stay
 * @param onPass is told the passes made so far; may throw to stop
 */
export async function leastImportant(
  network: Network,
  head: ScoringHead,
  batches: readonly MicroBatch[],
  keep: number,
  onPass: (passes: number) => Promise<void>,
): Promise<LayerChoice> {
  const { layers, vocabSize } = network.configuration;
  const looked = pickPositions(batches);
  let passes = 0;
  const answers = async (skip: ReadonlySet<number>): Promise<Float32Array> => {
    const all = new Float32Array(looked.reduce((sum, { positions }) => sum + positions.length, 0) * vocabSize);
    let at = 0;
    for (const { batch, positions } of looked) {
      const { hidden } = await network.forward(batch, undefined, undefined, skip);
      all.set(await head.logits(hidden, positions), at);
      at += positions.length * vocabSize;
    }
    logSoftmaxRows(all, vocabSize);
    passes += 1;
    await onPass(passes);
    return all;
  };
  const whole = await answers(new Set());
  const left: { layer: number; divergence: number }[] = [];
  for (const leaving of layersOfTurns(layers - keep)) {
    const gone = left.map(({ layer }) => layer);
    const found: { layer: number; divergence: number }[] = [];
    for (let layer = 0; layer < layers; layer += 1) {
      if (gone.includes(layer)) continue;
      found.push({ layer, divergence: meanDivergence(whole, await answers(new Set([...gone, layer])), vocabSize) });
    }
    left.push(...found.sort((a, b) => a.divergence - b.divergence || a.layer - b.layer).slice(0, leaving));
  }
  const gone = new Set(left.map(({ layer }) => layer));
  return { kept: Array.from({ length: layers }, (_, layer) => layer).filter((layer) => !gone.has(layer)), left };
}

/** Positions that predict an answer's token, evenly among all of them where there are more than can be looked at. */
function pickPositions(batches: readonly MicroBatch[]): { batch: MicroBatch; positions: Int32Array }[] {
  const total = batches.reduce((sum, { targetPositions }) => sum + targetPositions.length, 0);
  const every = Math.max(1, total / mostPositions);
  let seen = 0;
  let next = 0;
  return batches.flatMap((batch) => {
    const positions = batch.targetPositions.filter(() => {
      const take = seen >= next;
      if (take) next += every;
      seen += 1;
      return take;
    });
    return positions.length === 0 ? [] : [{ batch, positions }];
  });
}
