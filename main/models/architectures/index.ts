/** The supported architectures. */
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { type JsonObject, readBoundedFile } from '../../basics/bounded-json.ts';
import type { ModelConfiguration } from '../configuration.ts';
import { assertLanguageModel } from '../declared-model.ts';
import { type Architecture, huggingFaceConfig } from './architecture.ts';
import { bitnet } from './bitnet.ts';
import { gemma3, gemma3Text } from './gemma3.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { smollm3 } from './smollm3.ts';

export const architectures: readonly Architecture[] = [
  llama,
  qwen2,
  qwen3,
  gemma3Text,
  gemma3,
  mistral,
  smollm3,
  phi3,
  granite,
  olmo2,
  bitnet,
];

const largestConfiguration = 16 * 1024 * 1024;

/** The family that GGUF files of an architecture are read as. */
export function familyOfGguf(name: string): Architecture | undefined {
  return architectures.find(({ fromGguf }) => fromGguf?.architecture === name || fromGguf?.others?.includes(name));
}

/** The GGUF architectures that are read. */
export function knownGgufArchitectures(): string[] {
  return architectures.flatMap(({ fromGguf }) => (fromGguf ? [fromGguf.architecture, ...(fromGguf.others ?? [])] : []));
}

const families = architectures.map(({ title, modelType }) => `${title} (${modelType})`);

export function architectureOf(modelType: string): Architecture {
  const found = architectures.find((architecture) => architecture.modelType === modelType);
  if (!found) throw new TritsmithError('unsupported', 'model.unknown-type', { type: modelType, families });
  return found;
}

/**
 * Reads the text of a `config.json`. Errors name the setting that is missing, wrong or unsupported.
 * @param original the model from which this one was made, where something beside config.json names it
 */
export function parseConfiguration(text: string, original: string | null = null): ModelConfiguration {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TritsmithError('bad-input', 'configuration.invalid-json', {
      problem: error instanceof Error ? error.message : String(error),
    });
  }
  const modelType = (json as { model_type?: unknown } | null)?.model_type;
  if (typeof modelType !== 'string') throw new TritsmithError('bad-input', 'configuration.no-type');
  const architecture = architectureOf(modelType);
  assertLanguageModel(json as JsonObject, original);
  const settings = architecture.settings?.(json as JsonObject) ?? json;
  const parsed = huggingFaceConfig.safeParse(settings);
  if (!parsed.success)
    throw new TritsmithError('bad-input', 'configuration.settings', {
      problems: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    });
  return architecture.readConfiguration(parsed.data);
}

/** Reads `<folder>/config.json`; `original` as in `parseConfiguration`. */
export async function readModelConfiguration(
  folder: string,
  original: string | null = null,
): Promise<ModelConfiguration> {
  const path = join(folder, 'config.json');
  try {
    return parseConfiguration(new TextDecoder().decode(await readBoundedFile(path, largestConfiguration)), original);
  } catch (error) {
    if (error instanceof TritsmithError && error.code === 'not-found')
      throw new TritsmithError('not-found', 'model.no-configuration', { folder });
    throw error;
  }
}
