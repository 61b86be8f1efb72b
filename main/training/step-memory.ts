/** How much memory an optimiser step takes, from shapes alone, term by term, with the engine's own constants. */
import { momentBlock } from '../../native/index.ts';
import type { MemoryTerm } from '../contract/estimates.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import {
  hadamardBlock,
  projections,
  projectionShape,
  type ModelConfiguration,
  stateWidths,
} from '../models/configuration.ts';
import { keptLayerBytes } from '../models/layer-sessions.ts';
import { countParameters, layerNorms, windowSpecifications } from '../models/parameters.ts';
import { chunkRows } from '../models/head.ts';
import { softWeightBytes, ternaryWeightBytes } from '../models/ternary-weights.ts';
import { automaticSplitHeads, relationBuffers, relationRows } from './attention-relation.ts';
import { calibratedTokens } from './layer-calibration.ts';
import { largestTurnedHead, logitBuffers } from './loss-head.ts';

export interface StepShape {
  /** The model that is trained. */
  readonly model: ModelConfiguration;
  /** Whom a distilling student learns from. */
  readonly teacher?: ModelConfiguration | null;
  /** It was asked before: only its head is there. */
  readonly teacherOnce?: boolean;
  /** Of its logits only the likeliest are known: not even its head is there. */
  readonly teacherTop?: boolean;
  /** The logits term has both directions (`tokenWeights: 'cakld'`). */
  readonly reverse?: boolean;
  /** Rows of the largest micro-batch and the tokens of each, padding included. */
  readonly rows: number;
  readonly rowLength: number;
  /** Positions of a micro-batch that the head computes logits for. */
  readonly headRows: number;
  readonly recompute: boolean;
  /** A graphics card computes: its attention has no scores in memory. Absent: the processor. */
  readonly onCard?: boolean;
  /** How AdamW's moments are kept; absent: in float32. */
  readonly moments?: OptimiserSettings['moments'];
  /** Relation heads; null where a distillation has no attention term. */
  readonly splitHeads?: number | 'auto' | null;
}

type MomentSettings = Pick<OptimiserSettings, 'moments'>;

/** Of two AdamW moments of a parameter: in float32, or in a byte each with the scales of a block. */
export function momentBytes({ moments }: MomentSettings): number {
  return (
    2 * (moments === undefined ? Float32Array.BYTES_PER_ELEMENT : 1 + Float32Array.BYTES_PER_ELEMENT / momentBlock)
  );
}

/** Weight, gradient and two AdamW moments. */
export function trainedBytes(settings: MomentSettings): number {
  return 2 * Float32Array.BYTES_PER_ELEMENT + momentBytes(settings);
}

function trainedMemory(parameters: number, settings: MomentSettings): MemoryTerm {
  const bytesEach = trainedBytes(settings);
  const params = { parameters, bytesEach, ...(settings.moments && { moments: settings.moments }) };
  return { id: 'trained', bytes: parameters * bytesEach, params };
}

/** The process with the engine and its graphs before any model. */
const engineBytes = 0.2e9;

/** Floats per token that a session holds while it runs a layer: the values of decoder-layer.ts, and what enters the projections once more. */
function workingFloats(configuration: ModelConfiguration, rowLength: number, card = false): number {
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, ternary } = configuration;
  // Scores of all keys, or a row's sum of exponentials with its copy and the other number that the pass backward needs.
  const scores = heads * (card ? 3 : rowLength);
  const attention = 3 * heads * headSize + 3 * kvHeads * headSize + scores;
  const values = layerNorms(configuration).length * hiddenSize + attention + 3 * ffnSize;
  const entering = (['q', 'o', 'gate', 'down'] as const).map((name) => projectionShape(configuration, name)[1]);
  // Turned inputs, between their two products and after them.
  const turned = (['o', 'down'] as const).map((name) =>
    hadamardBlock(configuration, name) === 1 ? 0 : 2 * projectionShape(configuration, name)[1],
  );
  return (
    turned.reduce((sum, width) => sum + width, 0) +
    values +
    (ternary ? entering.reduce((sum, width) => sum + width, 0) : 2 * hiddenSize)
  );
}

/** The terms of one step of window reconstruction: some layers alone, without embedding, head or teacher. */
export function windowMemory({
  model,
  window,
  rows,
  rowLength,
  recompute,
  moments,
  onCard = false,
}: Pick<StepShape, 'model' | 'rows' | 'rowLength' | 'recompute' | 'moments' | 'onCard'> & {
  readonly window: number;
}): MemoryTerm[] {
  const specifications = windowSpecifications(model, 0, window);
  const sum = (ternary: boolean): number =>
    specifications.reduce((total, each) => total + (!ternary || each.ternary ? each.size : 0), 0);
  const [parameters, body] = [sum(false), sum(true)];
  const tokens = rows * rowLength;
  const kept = keptLayerBytes(
    model,
    { batch: rows, length: rowLength },
    { recomputeActivations: recompute, arithmetic: { products: 'float32' }, onCard },
  );
  const working = recompute ? 4 : 3;
  const bytesEach = softWeightBytes(model);
  // The embedding is read to make what enters the first layer, before any window is loaded.
  return [
    trainedMemory(parameters, { moments }),
    { id: 'ternary', bytes: body * bytesEach, params: { parameters: body, bytesEach } },
    { id: 'activations', bytes: window * kept, params: { tokens, layers: window, recomputed: recompute } },
    {
      id: 'sessions',
      bytes: 4 * tokens * working * workingFloats(model, rowLength, onCard),
      params: { tokens, layers: working },
    },
    { id: 'engine', bytes: engineBytes, params: {} },
  ];
}

/** Weights of the layer as they came, as they are rounded and as they compute, and once more while a matrix is rounded; int8 beside them. */
const calibratedBytes = 4 * Float32Array.BYTES_PER_ELEMENT + 1;
/** The moments, a copy that is decomposed, and the factor; of scaled inputs once more. */
const momentMatrices = 3;

/** The terms of a calibration, which holds one layer. */
export function calibrationMemory(model: ModelConfiguration, rowLength: number): MemoryTerm[] {
  const parameters = windowSpecifications(model, 0, 1).reduce((sum, { size }) => sum + size, 0);
  const width = Math.max(...projections.map((name) => projectionShape(model, name)[1]));
  const tokens = Math.max(calibratedTokens, rowLength);
  const ofTokens = workingFloats(model, rowLength) + projections.length * width;
  return [
    { id: 'layer', bytes: parameters * calibratedBytes, params: { parameters, bytesEach: calibratedBytes } },
    { id: 'moments', bytes: momentMatrices * 8 * width ** 2, params: { width, matrices: momentMatrices } },
    { id: 'sessions', bytes: 4 * tokens * ofTokens, params: { tokens, layers: 1 } },
    { id: 'engine', bytes: engineBytes, params: {} },
  ];
}

/** What a step in shards holds besides, in one process: the sums on the way up the tree (`TreeSum`). */
export function shardMemory(parameters: number, shards: number | undefined, rounded?: number): MemoryTerm[] {
  if (shards === undefined) return [];
  const buffers = Math.log2(shards);
  const terms: MemoryTerm[] = [{ id: 'shard-sums', bytes: 4 * parameters * buffers, params: { parameters, buffers } }];
  if (rounded === undefined) return terms;
  // A rest for each part, and of the parameters the rest and the change itself.
  const rests = rounded + 2;
  return [...terms, { id: 'exchange-rests', bytes: 4 * parameters * rests, params: { parameters, parts: rounded } }];
}

/** The terms of one step. Their sum was measured beside real steps (`npm run bench -- memory`). */
export function stepMemory(shape: StepShape): MemoryTerm[] {
  const { model, rows, rowLength, headRows, recompute, splitHeads = 'auto', onCard = false } = shape;
  const teacher = shape.teacher ?? null;
  const { total, body } = countParameters(model);
  const tokens = rows * rowLength;
  const terms: MemoryTerm[] = [trainedMemory(total, shape)];
  if (teacher !== null && !shape.teacherTop) {
    const parameters = shape.teacherOnce ? teacher.vocabSize * teacher.hiddenSize : countParameters(teacher).total;
    const bytesEach = Float32Array.BYTES_PER_ELEMENT;
    terms.push({ id: 'teacher', bytes: parameters * bytesEach, params: { parameters, bytesEach } });
  }
  if (model.ternary) {
    const bytesEach = ternaryWeightBytes(model);
    terms.push({ id: 'ternary', bytes: body * bytesEach, params: { parameters: body, bytesEach } });
  }
  const kept = keptLayerBytes(model, { batch: rows, length: rowLength }, { recomputeActivations: recompute, onCard });
  terms.push({
    id: 'activations',
    bytes: model.layers * kept,
    params: { tokens, layers: model.layers, recomputed: recompute },
  });
  // About one layer's worth in the forward pass, two in the backward pass, three when it computes the layer again. A distillation has a
  // second backward session, in which the relation's gradients enter, and the teacher's forward pass.
  const backward = recompute ? 3 : 2;
  const own = 1 + backward * (teacher === null ? 1 : 2);
  const running = shape.teacherOnce ? null : teacher;
  const floats = (each: ModelConfiguration): number => workingFloats(each, rowLength, onCard);
  const working = own * floats(model) + (running === null ? 0 : floats(running));
  terms.push({
    id: 'sessions',
    bytes: 4 * tokens * working,
    params: { tokens, layers: own + (running === null ? 0 : 1) },
  });
  if (teacher !== null && splitHeads !== null) {
    const heads = splitHeads === 'auto' ? automaticSplitHeads([stateWidths(model), stateWidths(teacher)]) : splitHeads;
    const atOnce = Math.min(rows, relationRows(heads, rowLength));
    terms.push({
      id: 'relation',
      bytes: 4 * relationBuffers * atOnce * heads * rowLength ** 2,
      params: { heads, rowLength },
    });
  }
  const chunk = Math.min(headRows, chunkRows(model.vocabSize));
  const buffers = logitBuffers(teacher !== null, shape.reverse);
  terms.push({
    id: 'logits',
    bytes: 4 * chunk * model.vocabSize * buffers,
    params: { rows: chunk, vocabulary: model.vocabSize, buffers },
  });
  const head = model.vocabSize * model.hiddenSize;
  const copies = head > largestTurnedHead ? 1 : 2;
  terms.push(
    { id: 'head-gradient', bytes: 4 * head * copies, params: { parameters: head, buffers: copies } },
    { id: 'engine', bytes: engineBytes, params: {} },
  );
  return terms;
}
