/** The tokenizer JSON that belongs to `vocab.json` + `merges.txt` (Qwen2 and GPT-2 before there was a `tokenizer.json`). */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  ownValue,
  readBoundedFile,
  readJsonObject,
} from '../../basics/bounded-json.ts';
import { qwen2Pattern } from './known-patterns.ts';

const largestFile = 256 * 1024 * 1024;

const byteLevel = (useRegex: boolean, addPrefixSpace: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: addPrefixSpace,
  trim_offsets: false,
  use_regex: useRegex,
});

async function readMerges(file: string): Promise<Json[]> {
  const text = new TextDecoder('utf-8').decode(await readBoundedFile(file, largestFile));
  return text
    .split('\n')
    .map((line) => line.replace(/\r$/, ''))
    .filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')))
    .map((line) => line.split(' '));
}

function family(folder: string, config: JsonObject, modelConfig: JsonObject): 'qwen2' | 'gpt2' {
  const named = String(ownValue(config, 'tokenizer_class') ?? ownValue(modelConfig, 'model_type') ?? '').toLowerCase();
  if (named.startsWith('qwen2') || named.startsWith('qwen3')) return 'qwen2';
  if (named.startsWith('gpt2')) return 'gpt2';
  throw new TritsmithError('unsupported', 'tokenizer.unknown-class', {
    folder,
    name: JSON.stringify(named.slice(0, 60)),
  });
}

/** Added tokens of all the places where older folders keep them; ids from `added_tokens_decoder`, `added_tokens.json` or the vocabulary. */
export async function addedTokens(
  folder: string,
  config: JsonObject,
  special: JsonObject,
  vocab: JsonObject,
): Promise<Json[]> {
  const tokens = new Map<string, JsonObject>();
  const add = (content: string, id: Json | undefined, more: JsonObject) => {
    if (id !== undefined && !tokens.has(content)) tokens.set(content, { ...more, id, content });
  };
  const decoder = ownValue(config, 'added_tokens_decoder');
  if (isJsonObject(decoder))
    for (const [id, entry] of Object.entries(decoder)) {
      const content = isJsonObject(entry) ? ownValue(entry, 'content') : undefined;
      if (isJsonObject(entry) && typeof content === 'string') add(content, Number(id), entry);
    }
  const file = path.join(folder, 'added_tokens.json');
  if (existsSync(file))
    for (const [content, id] of Object.entries(await readJsonObject(file, largestFile, 4)))
      add(content, id, { special: true });
  const named = [...Object.values(special), ownValue(config, 'bos_token'), ownValue(config, 'eos_token')].flat();
  for (const entry of named) {
    const content = isJsonObject(entry) ? ownValue(entry, 'content') : entry;
    if (typeof content === 'string') add(content, ownValue(vocab, content), { special: true });
  }
  return [...tokens.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
}

/**
 * Builds the equivalent of `tokenizer.json` in memory.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported` (neither Qwen2 nor GPT-2)
 */
export async function tokenizerJsonFromVocab(
  folder: string,
  config: JsonObject,
  special: JsonObject,
  modelConfig: JsonObject,
): Promise<JsonObject> {
  const vocab = await readJsonObject(path.join(folder, 'vocab.json'), largestFile, 4);
  const merges = await readMerges(path.join(folder, 'merges.txt'));
  const qwen = family(folder, config, modelConfig) === 'qwen2';
  const prefixSpace = ownValue(config, 'add_prefix_space') === true;
  return {
    version: '1.0',
    added_tokens: await addedTokens(folder, config, special, vocab),
    normalizer: qwen ? { type: 'NFC' } : null,
    pre_tokenizer: qwen
      ? {
          type: 'Sequence',
          pretokenizers: [
            { type: 'Split', pattern: { Regex: qwen2Pattern }, behavior: 'Isolated', invert: false },
            byteLevel(false, prefixSpace),
          ],
        }
      : byteLevel(true, prefixSpace),
    post_processor: byteLevel(false, prefixSpace),
    decoder: byteLevel(true, true),
    model: { type: 'BPE', unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
  };
}
