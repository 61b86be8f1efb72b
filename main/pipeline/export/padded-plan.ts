/**
 * The plan of a file whose type wants wider rows than the model has: zeros fill them up, and the model stays what it is (docs/formats.md, 2.5).
 *
 * The hidden size d grows to D, the feed-forward size and the heads likewise, each by zero rows and columns. The mean square of D values, of which D - d are
 * zero, is r = d / D of what it was. So a norm's weight is multiplied by sqrt(r), and the file's one epsilon by the r of the hidden size. A norm of another
 * width (SubLN before o and down, the norms of single heads) has another r' but the same epsilon: the matrix that its input is linear in (v, up, q, k) gets a
 * scale that is sqrt(r / r') as large, which the norm divides out again. Nothing is approximated but for the rounding of these factors to float32.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { assertHoldsQuantisation } from '../../contract/quantisation-in-files.ts';
import { tell } from '../../contract/messages/told.ts';
import { tensorTypeByName } from '../../formats/gguf/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { countParameters, parameterSpecifications } from '../../models/parameters.ts';
import { encodingFor, type GgufEncoding, isTernaryType, separateScales } from './gguf-encoding.ts';
import { type GgufPlan, planGguf } from './gguf-layout.ts';

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/**
 * The shape that a ternary model is written in; the same object where the types' blocks divide its rows already.
 * @throws TritsmithError `unsupported`
 */
function widened(configuration: ModelConfiguration, encoding: GgufEncoding): ModelConfiguration {
  const { linear, embedding, own = false } = encoding;
  if (!configuration.ternary || !isTernaryType(linear) || own) return configuration;
  const block = tensorTypeByName(linear).blockValues;
  const hiddenBlock = Math.max(block, tensorTypeByName(embedding).blockValues);
  const { headSize, hiddenSize } = configuration;
  const group = configuration.heads / configuration.kvHeads;
  // "bitnet" has no head size of its own: heads * head size = hidden size.
  const square = planGguf(configuration, { separateScales: separateScales(linear) }).architecture === 'bitnet';
  const holds = (kvHeads: number): boolean =>
    (group * kvHeads * headSize) % (square ? hiddenBlock : block) === 0 &&
    (linear !== 'I2_S' || (kvHeads * headSize) % 4 === 0);
  let { kvHeads } = configuration;
  while (!holds(kvHeads)) kvHeads += 1;
  const heads = group * kvHeads;
  const width = square ? heads * headSize : roundUp(hiddenSize, hiddenBlock);
  const ffnSize = roundUp(configuration.ffnSize, block);
  if (width === hiddenSize && heads === configuration.heads && ffnSize === configuration.ffnSize) return configuration;
  // Programs take the scale of Gemma's embedding from the hidden size of the file.
  if (width !== hiddenSize && configuration.embeddingScale !== 1)
    throw new TritsmithError('unsupported', 'export.padded-scale', { type: linear, hiddenSize, multiple: hiddenBlock });
  const rmsNormEpsilon = (configuration.rmsNormEpsilon * hiddenSize) / width;
  return { ...configuration, hiddenSize: width, heads, kvHeads, ffnSize, rmsNormEpsilon };
}

/** What the values of a parameter, and of a ternary matrix its scale, are multiplied by in the wider shape. */
function factorOf(local: string, narrow: ModelConfiguration, wide: ModelConfiguration): number {
  const hidden = narrow.hiddenSize / wide.hiddenSize;
  const attention = narrow.heads / wide.heads;
  const ffn = narrow.ffnSize / wide.ffnSize;
  const { subln, qkNorm } = narrow;
  switch (local) {
    case 'o.subln':
      return Math.sqrt(attention);
    case 'down.subln':
      return Math.sqrt(ffn);
    case 'attentionNorm':
    case 'ffnNorm':
    case 'attentionPostNorm':
    case 'ffnPostNorm':
    case 'finalNorm':
    case 'q.subln':
    case 'k.subln':
    case 'v.subln':
    case 'gate.subln':
    case 'up.subln':
      return Math.sqrt(hidden);
    case 'v':
    case 'v.bias':
      return subln === 'none' ? 1 : Math.sqrt(hidden / attention);
    case 'up':
      return subln === 'none' ? 1 : Math.sqrt(hidden / ffn);
    case 'q':
    case 'k':
    case 'q.bias':
    case 'k.bias':
      return qkNorm === 'none' ? 1 : Math.sqrt(qkNorm === 'head' ? hidden : hidden / attention);
    case 'q.norm':
    case 'k.norm':
      return qkNorm === 'projection' ? Math.sqrt(attention) : 1;
    default:
      return 1;
  }
}

/** What padding adds to a file, in bytes: to the linear layers, and to embedding and head. */
export interface PaddingCost {
  readonly from: ModelConfiguration;
  readonly to: ModelConfiguration;
  readonly bodyBytes: number;
  readonly tableBytes: number;
}

/** Null where nothing is padded. @throws TritsmithError as `planFile` */
export function paddingCost(configuration: ModelConfiguration, asked: GgufEncoding): PaddingCost | null {
  const encoding = encodingFor(configuration, asked);
  const to = widened(configuration, encoding);
  if (to === configuration) return null;
  const [before, after] = [countParameters(configuration), countParameters(to)];
  const bytes = (type: Parameters<typeof tensorTypeByName>[0], values: number): number => {
    const { blockBytes, blockValues } = tensorTypeByName(type);
    return Math.round((values / blockValues) * blockBytes);
  };
  return {
    from: configuration,
    to,
    bodyBytes: bytes(encoding.linear, after.body - before.body),
    tableBytes: bytes(encoding.embedding, after.embedding + after.head - before.embedding - before.head),
  };
}

const sizes = ({ hiddenSize, ffnSize, heads, kvHeads }: ModelConfiguration) => ({
  hiddenSize,
  ffnSize,
  heads,
  kvHeads,
});

/**
 * The plan of a model's file of some types, padded where they need it.
 * @throws TritsmithError `unsupported`, with the way out, when no architecture holds the model
 */
export function planFile(configuration: ModelConfiguration, encoding: GgufEncoding): GgufPlan {
  const { linear, own = false } = encoding;
  // Where a model's inputs are its own, this lets I2_S and T3_4 pass alone.
  if (isTernaryType(linear) && !own)
    assertHoldsQuantisation(linear.toLowerCase() as Lowercase<typeof linear>, configuration.quantisation);
  const cost = paddingCost(configuration, encoding);
  const ownType = linear === 'T3_4';
  const plan = planGguf(cost?.to ?? configuration, { separateScales: separateScales(linear), own, ownType });
  if (cost === null) return plan;
  const narrow = new Map(parameterSpecifications(configuration).map((entry) => [entry.name, entry]));
  const { from, to, bodyBytes, tableBytes } = cost;
  return {
    ...plan,
    tensors: plan.tensors.map((tensor) => {
      const parameter = typeof tensor.source === 'string' ? narrow.get(tensor.source) : undefined;
      if (parameter === undefined) return tensor;
      const { shape, local } = parameter;
      return { ...tensor, padded: { from: shape, factor: factorOf(local, from, to) } };
    }),
    notes: [
      ...plan.notes,
      tell('note.padded', {
        type: linear,
        block: tensorTypeByName(linear).blockValues,
        from: sizes(from),
        to: sizes(to),
        bodyBytes,
        tableBytes,
      }),
    ],
  };
}
