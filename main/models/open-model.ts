/**
 * Models by the path of a Hugging Face folder or of a GGUF file. What is read of a pretrained model (configuration, parameters, tokenizer, the
 * small files beside the weights) is read through here, so the rest does not know which of the two it is.
 */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../contract/errors.ts';
import { loadTokenizer, type Tokenizer } from '../formats/tokenizers/index.ts';
import { type Companions, folderCompanions } from './companion-files.ts';
import { hadamardBlock, type ModelConfiguration, type Projection } from './configuration.ts';
import { folderConfiguration, openFolder } from './folder-source.ts';
import { ggufCompanions } from './gguf-companions.ts';
import { ggufTokenizer, openGgufModel } from './gguf-source.ts';
import type { ModelSource } from './model-source.ts';
import { inWholeModel } from './kept-layers.ts';
import { ParameterBuffer, type ParameterSpecification, parameterSpecifications } from './parameters.ts';
import { startLearnedScales } from './ternary-weights.ts';
import { turnRows } from './turned-weights.ts';

/** Whether the model is one file. What does not exist is taken for what its name says. */
export async function isModelFile(path: string): Promise<boolean> {
  try {
    return !(await stat(path)).isDirectory();
  } catch {
    return path.toLowerCase().endsWith('.gguf');
  }
}

/**
 * Opens a model. Close it when done.
 * @throws TritsmithError `not-found`, `bad-input`, `damaged`, `unsupported` (family, setting, ternary weights)
 */
export async function openModel(path: string): Promise<ModelSource> {
  return (await isModelFile(path)) ? openGgufModel(path) : openFolder(path);
}

/** The configuration of a model. @throws TritsmithError as `openModel` */
export async function modelConfiguration(path: string): Promise<ModelConfiguration> {
  if (!(await isModelFile(path))) return folderConfiguration(path);
  const model = await openGgufModel(path);
  await model.close();
  return model.configuration;
}

/**
 * The tokenizer of a model. With `expected.vocabSize` (rows of the embedding) a tokenizer with more ids is refused.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported`, `bad-input` (more ids than the model has)
 */
export async function modelTokenizer(path: string, expected?: { vocabSize: number }): Promise<Tokenizer> {
  return (await isModelFile(path)) ? ggufTokenizer(path, expected) : loadTokenizer(path, expected);
}

/**
 * The small files of a model, by the names that a Hugging Face folder gives them; those of a GGUF file are made from its metadata.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported`
 */
export async function modelCompanions(path: string): Promise<Companions> {
  return (await isModelFile(path)) ? ggufCompanions(path) : folderCompanions(path);
}

export interface LoadOptions {
  /** Layers of the model at the path that the loaded one has, in order; null: all. */
  readonly kept?: readonly number[] | null;
  /** Some of the configuration's parameters, where not all are wanted. */
  readonly specifications?: readonly ParameterSpecification[];
}

/** Block of the columns of a parameter that are to be turned where one configuration turns them and the other does not; else 1. */
function turnOf(local: string, from: ModelConfiguration, to: ModelConfiguration): number {
  const [before, after] = [from, to].map((each) => hadamardBlock(each, local as Projection)) as [number, number];
  return before === after ? 1 : Math.max(before, after);
}

/**
 * Loads the parameters that `configuration` asks for, one by one. With a configuration that adds SubLN, its norms are left at 1; with one that adds learned scales, they start at the
 * mean of their weights; where it turns the inputs of o and down and the model does not (or the other way round), their weights are turned, so that they compute the same.
 * @throws TritsmithError as `ModelSource.read`, `bad-input` for a parameter that is lacking
 */
export async function loadParameters(
  path: string,
  configuration: ModelConfiguration,
  { kept = null, specifications = parameterSpecifications(configuration) }: LoadOptions = {},
): Promise<ParameterBuffer> {
  const buffer = new ParameterBuffer(specifications);
  const model = await openModel(path);
  try {
    for (const parameter of buffer.specifications) {
      const target = buffer.view(parameter.name);
      const source = kept === null ? parameter : inWholeModel(parameter, kept);
      if (model.stored(source) !== null) {
        await model.read(source, target);
        const block = turnOf(parameter.local, model.configuration, configuration);
        if (block > 1) turnRows(target, block);
      } else if (parameter.local.endsWith('.subln')) target.fill(1);
      else if (parameter.scaleOf !== null) startLearnedScales(buffer, [parameter]);
      else
        throw new TritsmithError('bad-input', 'model.lacks-tensor', {
          folder: path,
          name: parameter.name,
          architecture: configuration.architecture,
        });
    }
  } finally {
    await model.close();
  }
  return buffer;
}
