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
  type Checkpoint,
  openCheckpoint,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from '../formats/safetensors/index.ts';
import { type Adapter, openAdapter, type TensorChange } from './adapter.ts';
import { copyCompanion, readModelSettings } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { readModelFolder } from './model-folder.ts';
import { embeddingName, parameterSpecifications } from './parameters.ts';
import { type StoredWeights, storedWeights } from './stored-weights.ts';

const untiedHead = 'lm_head.weight';
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
  const checkpoint = await openCheckpoint(base).catch(async (thrown: unknown) => {
    await file.close();
    throw thrown;
  });
  try {
    const plan = await planMerge({ file, changes, checkpoint, configuration, folder: adapter.folder });
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
    await Promise.all([file.close(), checkpoint.close()]);
  }
}

interface Inputs {
  readonly file: SafetensorsFile;
  readonly changes: ReadonlyMap<string, TensorChange>;
  readonly checkpoint: Checkpoint;
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
  const { file, checkpoint, configuration, folder } = inputs;
  const weights = storedWeights(checkpoint);
  const changes = placed(inputs, weights);
  const embedding = weights.ownNameOf({ name: embeddingName });
  const head = weights.ownNameOf({ name: untiedHead });
  const tied = configuration.tiedEmbeddings && (await staysTied(file, changes.get(embedding), changes.get(head)));
  /** Source in the base by name in the result. */
  const sources = new Map(
    parameterSpecifications({ ...configuration, tiedEmbeddings: tied }).map((parameter) => [
      weights.ownNameOf(parameter),
      weights.nameOf(parameter),
    ]),
  );
  if (!tied && configuration.tiedEmbeddings) sources.set(head, weights.nameOf({ name: embeddingName }));
  for (const name of changes.keys()) if (!sources.has(name) && !(tied && name === head)) throw noPlace(folder, name);
  const tensors = [...sources].map(([name, source]) =>
    mergedTensor(name, source, changes.get(name), { file, checkpoint, folder }),
  );
  return { tensors, tied, vocabSize: tensors.find(({ name }) => name === embedding)!.shape[0]! };
}

/** The changes by the names that the tensors have in the result. */
function placed({ changes, checkpoint }: Inputs, weights: StoredWeights): Map<string, TensorChange> {
  return new Map(
    [...changes].map(([name, change]) => [checkpoint.has(name) ? name : weights.ownNameOf({ name }), change]),
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

function noPlace(folder: string, name: string): TritsmithError {
  return new TritsmithError('bad-input', 'adapter.no-place', { folder, name: name.slice(0, 200) });
}

async function sameTensor(file: SafetensorsFile, one: string, other: string): Promise<boolean> {
  const [a, b] = [file.tensors.get(one)!, file.tensors.get(other)!];
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  return Buffer.compare(await file.readBytes(one), await file.readBytes(other)) === 0;
}

interface Sources {
  readonly file: SafetensorsFile;
  readonly checkpoint: Checkpoint;
  readonly folder: string;
}

/** @param source the base's tensor, which has another name where a tied matrix becomes two */
function mergedTensor(
  name: string,
  source: string,
  change: TensorChange | undefined,
  { file, checkpoint, folder }: Sources,
): TensorToWrite {
  const own = checkpoint.dtype(source);
  const dtype = own === 'BF16' || own === 'F16' ? own : 'F32';
  if (change === undefined) {
    const shape = checkpoint.shape(source);
    const data = own === dtype ? () => checkpoint.readBytes(source) : () => checkpoint.readFloat32(source);
    return { name, dtype, shape, data };
  }
  const shape =
    change.replacement === undefined ? checkpoint.shape(source) : file.tensors.get(change.replacement)!.shape;
  assertFits(name, checkpoint.shape(source), shape, change, file, folder);
  return {
    name,
    dtype,
    shape,
    async data() {
      const values = await (change.replacement === undefined
        ? checkpoint.readFloat32(source)
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
  for (const name of [...companionFiles, 'generation_config.json']) {
    const ofTokenizer = companionFiles.includes(name) && !notOfTheTokenizer.includes(name);
    const source = hasOwn && ofTokenizer ? adapter : base;
    if (existsSync(join(source, name))) await copyCompanion(source, target, name);
  }
}
