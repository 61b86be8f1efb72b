/** A GGUF file as a source of a model: the keys of its metadata are read as the settings of a config.json, its tensors as our parameters. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../contract/errors.ts';
import { embeddedTokenizer, type GgufFile, openGguf } from '../formats/gguf/index.ts';
import { assertFinite } from '../formats/safetensors/index.ts';
import type { Tokenizer } from '../formats/tokenizers/index.ts';
import { ggufArchitecture, type GgufArchitecture, ggufTensorName, regroupedHeads } from './architectures/gguf.ts';
import { settingsOfGguf } from './architectures/gguf-settings.ts';
import { familyOfGguf, parseConfiguration } from './architectures/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import type { ModelSource, WeightFacts } from './model-source.ts';
import { type ParameterSpecification, parameterSpecifications } from './parameters.ts';
import { unpermuteRotaryRows } from './rotary-rows.ts';
import { latentsOfCodes } from './ternary-codes.ts';

const ternaryTypes = ['I2_S', 'TQ1_0', 'TQ2_0', 'Q2_0', 'T3_4'];
const floatTypes = ['F32', 'F16', 'BF16'];
/** Matrices that hold several projections, rows one below the other (`phi3`), by the module of a checkpoint that holds the same. */
const fusedNames: Readonly<Record<string, string>> = { qkv_proj: 'attn_qkv', gate_up_proj: 'ffn_up' };
/** Not parameters: what they say is read into the configuration. */
const factorTensors = ['rope_freqs.weight', 'rope_factors_long.weight', 'rope_factors_short.weight'];

/**
 * Opens a GGUF file as a model. Close it when done.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported` (family, setting, a tensor without a place in it, ternary weights, a part of a
 * split file)
 */
export async function openGgufModel(path: string): Promise<ModelSource> {
  const file = await openGguf(path);
  try {
    const configuration = await configurationOf(file);
    const architecture = ggufArchitecture(architectureName(file))!;
    refuseStrangers(file, architecture, configuration);
    const weights = { ...(await weightFacts(file)), ...ternaryFacts(file, configuration) };
    const placeOf = (parameter: ParameterSpecification): Place => placeIn(file, architecture, parameter);
    return {
      path,
      configuration,
      weights,
      stored(parameter) {
        const { name, shape: expected } = placeOf(parameter);
        const tensor = file.tensors.get(name);
        return tensor === undefined ? null : { name, shape: tensor.shape, expected };
      },
      async read(parameter, target) {
        const { name, shape, firstRow } = placeOf(parameter);
        const found = file.tensors.get(name)?.shape;
        if (found && found.join() !== shape.join())
          throw new TritsmithError('bad-input', 'model.tensor-shape', {
            folder: path,
            name,
            shape: [...found],
            expected: [...shape],
          });
        if (firstRow === null) await file.readFloat32(name, target);
        else {
          const first = firstRow * shape[1]!;
          target.set((await file.readFloat32(name)).subarray(first, first + parameter.size));
        }
        await multiplyByScale(file, name, target);
        assertFinite(name, target);
        if (parameter.ternary && !latentsOfCodes(target) && isTernary(file, name))
          throw new TritsmithError('unsupported', 'gguf.several-scales', { path, name });
        const heads = regroupedHeads(architecture, configuration, parameter.local);
        if (heads !== null) target.set(unpermuteRotaryRows(target, heads, parameter.shape[1] ?? 1));
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The tokenizer of a GGUF file, with no more ids than `expected.vocabSize`.
 * @throws TritsmithError as `embeddedTokenizer`, `bad-input` (more ids than the model has)
 */
export async function ggufTokenizer(path: string, expected?: { vocabSize: number }): Promise<Tokenizer> {
  const tokenizer = await embeddedTokenizer(path);
  if (expected && tokenizer.vocabSize > expected.vocabSize)
    throw new TritsmithError('bad-input', 'tokenizer.of-another-model', {
      folder: path,
      ids: tokenizer.vocabSize,
      vocabulary: expected.vocabSize,
    });
  return tokenizer;
}

function architectureName({ metadata }: GgufFile): string {
  return String(metadata.get('general.architecture')?.value ?? '');
}

/** Where a file has a parameter: the tensor, the shape that it should have, and the parameter's first row where it is one of several. */
interface Place {
  readonly name: string;
  readonly shape: readonly number[];
  readonly firstRow: number | null;
}

function placeIn(file: GgufFile, architecture: GgufArchitecture, parameter: ParameterSpecification): Place {
  const { local, layer, shape, stored } = parameter;
  const fused = stored === null ? undefined : fusedNames[stored.name.split('.').at(-2)!];
  if (stored !== null && fused !== undefined) {
    const name = `blk.${String(layer)}.${fused}.weight`;
    if (file.tensors.get(name)?.shape[0] === stored.rows)
      return { name, shape: [stored.rows, ...shape.slice(1)], firstRow: stored.firstRow };
  }
  return { name: ggufTensorName(architecture, local, layer), shape, firstRow: null };
}

/** Weights that are ternary already make no teacher, unless the family is ternary by birth. */
async function configurationOf(file: GgufFile): Promise<ModelConfiguration> {
  const { path, tensors } = file;
  const found = [...tensors.values()].find(({ type }) => ternaryTypes.includes(type));
  const refused = (): TritsmithError =>
    new TritsmithError('unsupported', 'gguf.ternary-teacher', { path, type: found!.type });
  const familiar = familyOfGguf(architectureName(file)) !== undefined;
  if (found && !familiar) throw refused();
  const configuration = parseConfiguration(JSON.stringify(await settingsOfGguf(file)));
  if (found && !configuration.ternary) throw refused();
  return configuration;
}

/** A tensor that no parameter reads would be left out in silence: a bias, a norm, an expert. */
function refuseStrangers(file: GgufFile, architecture: GgufArchitecture, configuration: ModelConfiguration): void {
  const known = new Set([
    ...factorTensors,
    ...parameterSpecifications(configuration).map((parameter) => placeIn(file, architecture, parameter).name),
  ]);
  for (const name of [...known]) if (isTernary(file, name)) known.add(scaleName(name));
  for (const name of file.tensors.keys())
    if (!known.has(name))
      throw new TritsmithError('unsupported', 'gguf.strange-tensor', {
        path: file.path,
        name,
        architecture: architecture.name,
      });
}

const isTernary = ({ tensors }: GgufFile, name: string): boolean =>
  ternaryTypes.includes(tensors.get(name)?.type ?? '');

/** Types without room for a float32 scale have it in a tensor beside, of one value. */
const scaleName = (weight: string): string => weight.replace(/\.weight$/, '.scale');

async function multiplyByScale(file: GgufFile, name: string, target: Float32Array): Promise<void> {
  const beside = scaleName(name);
  if (beside === name || !isTernary(file, name) || !file.tensors.has(beside)) return;
  const [scale, ...others] = await file.readFloat32(beside);
  if (others.length > 0) throw new TritsmithError('unsupported', 'gguf.several-scales', { path: file.path, name });
  for (let index = 0; index < target.length; index += 1) target[index]! *= scale!;
}

function ternaryFacts({ tensors }: GgufFile, { ternary }: ModelConfiguration): Pick<WeightFacts, 'ternary'> {
  if (!ternary) return {};
  return { ternary: [...tensors.values()].some(({ type }) => ternaryTypes.includes(type)) ? 'codes' : 'latent' };
}

async function weightFacts({ path, tensors }: GgufFile): Promise<WeightFacts> {
  const types = [...new Set([...tensors.values()].map(({ type }) => type))].sort();
  let bytes = 0;
  let values = 0;
  for (const tensor of tensors.values()) {
    bytes += tensor.bytes ?? 0;
    values += tensor.count;
  }
  const quantised = types.some((type) => !floatTypes.includes(type));
  return { files: 1, bytes: (await stat(path)).size, types, bitsPerWeight: quantised ? (8 * bytes) / values : null };
}
