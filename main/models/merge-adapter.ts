/** Merges a LoRA adapter into its base: a model folder of its own, written tensor by tensor, so that memory holds one. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { companionFiles } from '../contract/companion-files.ts';
import { TritsmithError } from '../contract/errors.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { isJsonObject, type JsonObject, ownValue } from '../basics/bounded-json.ts';
import { encodeBf16, encodeF16 } from '../formats/half-precision.ts';
import {
  assertFinite,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from '../formats/safetensors/index.ts';
import { type Adapter, openAdapter, type TensorChange } from './adapter.ts';
import { copyCompanion, folderCompanions, readModelSettings } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { readModelFolder } from './folder-source.ts';
import { embeddingName, parameterSpecifications } from './parameters.ts';
import { storedName } from './stored-parameters.ts';
import { type ModelWeights, openModelWeights } from './stored-weights.ts';

const headName = 'lm_head.weight';
/** How classes that hold more than a language model name its trunk. */
const otherTrunk =
  /^(?:model\.language_model|language_model\.model|language_model)\.(?=layers\.|embed_tokens\.|norm\.)/;
const tokenizerSets = [['tokenizer.json'], ['vocab.json', 'merges.txt'], ['tokenizer.model']];
const notOfTheTokenizer = ['LICENSE'];

/**
 * Writes the model of `adapter` on `base` to the folder `target`, in the types of the base. The tokenizer is the adapter's where it has one. A tied
 * matrix that the adapter changes on one side only becomes two.
 * @throws TritsmithError `unsupported` or `damaged` for an adapter that can't be merged, `bad-input` for one of another base; nothing is left then
 */
export async function mergeAdapter(adapter: Adapter, base: string, target: string): Promise<void> {
  const { configuration } = await readModelFolder(base);
  const growing = `${target}.merging`;
  await rm(growing, { recursive: true, force: true });
  const { file, changes } = await openAdapter(adapter);
  const weights = await openModelWeights(base).catch(async (thrown: unknown) => {
    await file.close();
    throw thrown;
  });
  try {
    const plan = await planMerge({ file, changes, weights, configuration, folder: adapter.folder });
    await mkdir(growing, { recursive: true });
    await copyTokenizer(adapter.folder, base, growing);
    const config = mergedConfig(await readModelSettings(base, 'config.json'), plan);
    await writeFileAtomically(join(growing, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    await writeSafetensors(join(growing, 'model.safetensors'), plan.tensors, { format: 'pt' });
    await rename(growing, target);
  } catch (thrown) {
    await rm(growing, { recursive: true, force: true });
    throw thrown;
  } finally {
    await Promise.all([file.close(), weights.close()]);
  }
}

interface Inputs {
  readonly file: SafetensorsFile;
  readonly changes: ReadonlyMap<string, TensorChange>;
  readonly weights: ModelWeights;
  readonly configuration: ModelConfiguration;
  /** The adapter's. */
  readonly folder: string;
}

interface Plan {
  readonly tensors: TensorToWrite[];
  readonly tied: boolean;
  readonly vocabSize: number;
}

async function planMerge(inputs: Inputs): Promise<Plan> {
  const { file, weights, configuration, folder } = inputs;
  const changes = placed(inputs);
  const tied =
    configuration.tiedEmbeddings && (await staysTied(file, changes.get(embeddingName), changes.get(headName)));
  /** Name in the base by name in the result. */
  const sources = new Map(
    parameterSpecifications({ ...configuration, tiedEmbeddings: true }).map((parameter) => {
      const stored = storedName(weights, parameter, configuration);
      return [parameter.local === 'embedding' ? embeddingName : stored, stored];
    }),
  );
  if (!tied) sources.set(headName, configuration.tiedEmbeddings ? sources.get(embeddingName)! : headName);
  for (const name of changes.keys())
    if (!sources.has(name) && !(tied && name === headName))
      throw new TritsmithError('bad-input', 'adapter.no-place', { folder, name: name.slice(0, 200) });
  const tensors = [...sources].map(([name, source]) => mergedTensor(name, source, changes.get(name), inputs));
  return { tensors, tied, vocabSize: tensors.find(({ name }) => name === embeddingName)!.shape[0]! };
}

/** The changes by our names: an adapter may name the trunk otherwise, as its base's class does. */
function placed({ changes }: Inputs): Map<string, TensorChange> {
  return new Map(
    [...changes].map(([name, change]) => [
      name.replace(/^(?:.*\.)?(?=lm_head\.weight$)/, '').replace(otherTrunk, 'model.'),
      change,
    ]),
  );
}

/** Embedding and head stay one where neither changes, or both are replaced by the same: with added tokens peft saves it twice. */
async function staysTied(
  file: SafetensorsFile,
  embedding: TensorChange | undefined,
  head: TensorChange | undefined,
): Promise<boolean> {
  if (embedding === undefined && head === undefined) return true;
  if (embedding?.replacement === undefined || head?.replacement === undefined) return false;
  if (embedding.low !== undefined || head.low !== undefined) return false;
  return sameTensor(file, embedding.replacement, head.replacement);
}

async function sameTensor(file: SafetensorsFile, one: string, other: string): Promise<boolean> {
  const [a, b] = [file.tensors.get(one)!, file.tensors.get(other)!];
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  return Buffer.compare(await file.readBytes(one), await file.readBytes(other)) === 0;
}

/** @param source the base's tensor, which has another name where a tied matrix becomes two */
function mergedTensor(
  name: string,
  source: string,
  change: TensorChange | undefined,
  { file, weights, folder }: Inputs,
): TensorToWrite {
  const own = weights.dtype(source);
  const dtype = own === 'BF16' || own === 'F16' ? own : 'F32';
  if (change === undefined) {
    const shape = weights.shape(source);
    const data = own === dtype ? () => weights.readBytes(source) : () => weights.readFloat32(source);
    return { name, dtype, shape, data };
  }
  const shape = change.replacement === undefined ? weights.shape(source) : file.tensors.get(change.replacement)!.shape;
  assertFits(name, weights.shape(source), shape, change, file, folder);
  return {
    name,
    dtype,
    shape,
    async data() {
      const values = await (change.replacement === undefined
        ? weights.readFloat32(source)
        : file.readFloat32(change.replacement));
      await apply(change, values, shape, file);
      assertFinite(name, values);
      return dtype === 'BF16' ? encodeBf16(values) : dtype === 'F16' ? encodeF16(values) : values;
    },
  };
}

/** Only rows of an embedding or a head may be more than the base has: tokens that were added. */
function assertFits(
  name: string,
  base: readonly number[],
  shape: readonly number[],
  { low, magnitude, added }: TensorChange,
  file: SafetensorsFile,
  folder: string,
): void {
  const ofPart = (part: string): string => file.tensors.get(part)!.shape.join();
  const [rows = 0, columns = 0] = shape;
  const grows = /(?:^|\.)(?:embed_tokens|lm_head)\.weight$/.test(name) && shape.length === 2;
  const same = grows ? shape[1] === base[1] : shape.join() === base.join();
  let fits = same && (added === undefined || (shape.length === 1 && ofPart(added.name) === String(rows)));
  if (low !== undefined) {
    const rank = file.tensors.get(low.a)!.shape[0] ?? 0;
    const [outputs, inputs] = low.embedding ? [columns, rows] : [rows, columns];
    fits &&= shape.length === 2 && ofPart(low.a) === [rank, inputs].join() && ofPart(low.b) === [outputs, rank].join();
  }
  if (magnitude !== undefined) fits &&= low !== undefined && !low.embedding && elements(file, magnitude) === rows;
  if (!fits) throw new TritsmithError('bad-input', 'adapter.other-shape', { folder, name, shape: [...base] });
}

function elements(file: SafetensorsFile, name: string): number {
  return file.tensors.get(name)!.shape.reduce((product, dimension) => product * dimension, 1);
}

/** Applies a change to `values` `[rows, columns]` in place; sums in float64, so that only the result is rounded. */
async function apply(
  { low, magnitude, added }: TensorChange,
  values: Float32Array,
  [rows = 0, columns = 0]: readonly number[],
  file: SafetensorsFile,
): Promise<void> {
  if (added !== undefined) {
    const more = await file.readFloat32(added.name);
    for (let i = 0; i < values.length; i++) values[i]! += added.scale * more[i]!;
  }
  if (low === undefined) return;
  const [a, b] = [await file.readFloat32(low.a), await file.readFloat32(low.b)];
  const rank = file.tensors.get(low.a)!.shape[0] ?? 0;
  const norms = magnitude === undefined ? null : await file.readFloat32(magnitude);
  // Of a projection row o changes by sum_k B[o, k] A[k, :]; of an embedding by sum_k A[k, o] B[:, k].
  const [rowFactor, rowStep, rankStep] = low.embedding ? [a, 1, rows] : [b, rank, 1];
  const [lineFactor, lineStep, columnStep] = low.embedding ? [b, 1, rank] : [a, columns, 1];
  const line = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    line.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = low.scale * rowFactor[row * rowStep + k * rankStep]!;
      for (let column = 0; column < columns; column++)
        line[column]! += factor * lineFactor[k * lineStep + column * columnStep]!;
    }
    const target = values.subarray(row * columns, (row + 1) * columns);
    for (let column = 0; column < columns; column++) line[column]! += target[column]!;
    const grow = norms === null ? 1 : norms[row]! / Math.sqrt(line.reduce((sum, value) => sum + value * value, 0));
    for (let column = 0; column < columns; column++) target[column] = grow * line[column]!;
  }
}

function mergedConfig(settings: JsonObject, { tied, vocabSize }: Plan): JsonObject {
  const inner = ownValue(settings, 'text_config');
  const changed = { tie_word_embeddings: tied, vocab_size: vocabSize };
  if (!isJsonObject(inner)) return { ...settings, ...changed };
  return { ...settings, tie_word_embeddings: tied, text_config: { ...inner, ...changed } };
}

async function copyTokenizer(adapter: string, base: string, target: string): Promise<void> {
  const hasOwn = tokenizerSets.some((names) => names.every((name) => existsSync(join(adapter, name))));
  const [ofAdapter, ofBase] = [await folderCompanions(adapter), await folderCompanions(base)];
  for (const name of [...companionFiles, 'generation_config.json']) {
    const ofTokenizer = companionFiles.includes(name) && !notOfTheTokenizer.includes(name);
    const source = hasOwn && ofTokenizer ? ofAdapter : ofBase;
    if (source.names.has(name)) await copyCompanion(source, target, name);
  }
}
