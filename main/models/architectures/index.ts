/** The supported architectures. */
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { readBoundedFile } from '../../basics/bounded-json.ts';
import type { ModelConfiguration } from '../configuration.ts';
import { type Architecture, huggingFaceConfig } from './architecture.ts';
import { llama } from './llama.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

export const architectures: readonly Architecture[] = [llama, qwen2, qwen3];

const largestConfiguration = 16 * 1024 * 1024;

const supportedList = architectures.map(({ title, modelType }) => `${title} (${modelType})`).join(', ');

export function architectureOf(modelType: string): Architecture {
  const found = architectures.find((architecture) => architecture.modelType === modelType);
  if (!found)
    throw new TritsmithError('unsupported', `Models of type "${modelType}" are not supported.`, {
      remedy: `Choose a model of one of these families: ${supportedList}.`,
    });
  return found;
}

/** Reads the text of a `config.json`. Errors name the setting that is missing, wrong or unsupported. */
export function parseConfiguration(text: string): ModelConfiguration {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TritsmithError('bad-input', 'config.json is not valid JSON.', {
      reason: error instanceof Error ? error.message : String(error),
      remedy: 'Download the model again.',
    });
  }
  const modelType = (json as { model_type?: unknown } | null)?.model_type;
  if (typeof modelType !== 'string')
    throw new TritsmithError('bad-input', 'config.json does not say what kind of model this is (no "model_type").', {
      remedy: 'Choose the folder of a complete Hugging Face model.',
    });
  const architecture = architectureOf(modelType);
  const parsed = huggingFaceConfig.safeParse(json);
  if (!parsed.success)
    throw new TritsmithError('bad-input', 'config.json lacks settings that the model needs, or they are wrong.', {
      reason: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
      remedy: 'Download the model again.',
    });
  return architecture.readConfiguration(parsed.data);
}

/** Reads `<folder>/config.json`. */
export async function readModelConfiguration(folder: string): Promise<ModelConfiguration> {
  const path = join(folder, 'config.json');
  try {
    return parseConfiguration(new TextDecoder().decode(await readBoundedFile(path, largestConfiguration)));
  } catch (error) {
    if (error instanceof TritsmithError && error.code === 'not-found')
      throw new TritsmithError('not-found', `There is no model in ${folder}: it has no config.json.`, {
        remedy: 'Choose the folder that holds config.json, the *.safetensors files and the tokenizer.',
      });
    throw error;
  }
}
