/** Writes a model as a GGUF file, tensor by tensor. */
import {
  float32,
  ggufBytes,
  type GgufMetadata,
  type GgufValue,
  string,
  tokenizerMetadata,
  uint32,
  writeGguf,
} from '../../formats/gguf/index.ts';
import type { Told } from '../../contract/messages/told.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelTokenizer } from '../../models/open-model.ts';
import { encodeTensor, encodingFor, type GgufEncoding } from './gguf-encoding.ts';
import type { GgufPlan } from './gguf-layout.ts';
import { planFile } from './padded-plan.ts';
import type { TensorSource } from './tensor-source.ts';

/** `general.file_type` (llama.h, `LLAMA_FTYPE_MOSTLY_*`; 36 + 4 is bitnet.cpp's number for I2_S). */
const fileType: Record<GgufEncoding['linear'], number> = {
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  TQ1_0: 36,
  TQ2_0: 37,
  I2_S: 40,
  Q2_0: 41,
  // Our own, beyond theirs.
  T3_4: 1034,
};

/** Version of ggml's block formats. */
const quantisationVersion = 2;

function metadataOf(
  name: string,
  plan: GgufPlan,
  encoding: GgufEncoding,
  tokenizer: ReadonlyMap<string, GgufValue>,
): GgufMetadata {
  const prefix = plan.architecture;
  return new Map<string, GgufValue>([
    ['general.architecture', string(plan.architecture)],
    ['general.name', string(name)],
    ['general.file_type', uint32(fileType[encoding.linear])],
    ['general.quantization_version', uint32(quantisationVersion)],
    ...Object.entries(plan.integers).map(([key, value]): [string, GgufValue] => [`${prefix}.${key}`, uint32(value)]),
    ...Object.entries(plan.floats).map(([key, value]): [string, GgufValue] => [`${prefix}.${key}`, float32(value)]),
    ...Object.entries(plan.strings).map(([key, value]): [string, GgufValue] => [`${prefix}.${key}`, string(value)]),
    ...tokenizer,
  ]);
}

export interface GgufModel {
  /** `general.name`. */
  readonly name: string;
  readonly configuration: ModelConfiguration;
  readonly tensors: TensorSource;
  /** Folder or file of the tokenizer, or the tokenizer itself. */
  readonly tokenizer: string | Tokenizer;
}

async function contentOf({ name, configuration, tensors, tokenizer }: GgufModel, asked: GgufEncoding) {
  const plan = planFile(configuration, asked);
  const encoding = encodingFor(configuration, asked);
  const loaded = typeof tokenizer === 'string' ? await modelTokenizer(tokenizer) : tokenizer;
  const keys = await tokenizerMetadata(loaded, configuration.vocabSize);
  return {
    plan,
    notes: [...plan.notes, ...keys.warnings],
    metadata: metadataOf(name, plan, encoding, keys.entries),
    encoded: plan.tensors.flatMap((tensor) => encodeTensor(tensor, tensors, encoding)),
  };
}

/** Bytes of the file that `writeGgufModel` makes, without reading a weight. @throws as `writeGgufModel` */
export async function ggufModelBytes(model: GgufModel, encoding: GgufEncoding): Promise<number> {
  const { metadata, encoded } = await contentOf(model, encoding);
  return ggufBytes(metadata, encoded);
}

/**
 * Writes `path` whole or not at all.
 * @param onTensor called before each tensor with how many are done out of how many; may throw to stop
 * @returns what was written where, and restrictions that a user should know
 * @throws TritsmithError `unsupported` for a model that the format can't hold
 */
export async function writeGgufModel(
  path: string,
  model: GgufModel,
  encoding: GgufEncoding,
  onTensor: (done: number, total: number) => Promise<void> = () => Promise.resolve(),
): Promise<{ plan: GgufPlan; notes: readonly Told[] }> {
  const { plan, notes, metadata, encoded } = await contentOf(model, encoding);
  let done = 0;
  const written = encoded.map((tensor) => ({
    ...tensor,
    data: async () => {
      await onTensor(done++, encoded.length);
      return tensor.data();
    },
  }));
  await writeGguf(path, metadata, written);
  return { plan, notes };
}
