/** Finds the tokenizer of a Hugging Face folder: `tokenizer.json`, or `vocab.json` + `merges.txt`, or `tokenizer.model`. */
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
  readOptionalJsonObject,
} from '../../basics/bounded-json.ts';
import { checkDefinition, type TokenizerDefinition } from './definition.ts';
import { definitionFromSentencePiece } from './from-sentencepiece.ts';
import { createTokenizer, type SpecialTokens, type Tokenizer } from './tokenizer.ts';
import { tokenizerJsonFromVocab } from './vocab-and-merges.ts';

const largestTokenizerBytes = 256 * 1024 * 1024;
const largestConfigBytes = 16 * 1024 * 1024;

async function optionalJson(folder: string, name: string): Promise<JsonObject> {
  return (await readOptionalJsonObject(path.join(folder, name), largestConfigBytes, 64)) ?? {};
}

/** A token as configs write it: its text, an object with `content`, an id, or a list whose first counts. */
function tokenOf(value: Json | undefined): string | number | null {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (Array.isArray(value)) return tokenOf(value[0]);
  return isJsonObject(value) ? tokenOf(ownValue(value, 'content')) : null;
}

function specialTokens(sources: { texts: JsonObject[]; ids: JsonObject[] }): SpecialTokens {
  const find = (kind: string) => {
    for (const source of sources.texts) {
      const token = tokenOf(ownValue(source, `${kind}_token`));
      if (token !== null) return token;
    }
    for (const source of sources.ids) {
      const id = tokenOf(ownValue(source, `${kind}_token_id`));
      if (id !== null) return id;
    }
    return null;
  };
  return { bos: find('bos'), eos: find('eos'), pad: find('pad'), unk: find('unk') };
}

async function chatTemplateOf(folder: string, config: JsonObject): Promise<string | null> {
  const file = path.join(folder, 'chat_template.jinja');
  if (existsSync(file)) return new TextDecoder().decode(await readBoundedFile(file, largestConfigBytes));
  const value = ownValue(config, 'chat_template');
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named = value.filter(isJsonObject);
  const chosen = named.find((entry) => ownValue(entry, 'name') === 'default') ?? named[0];
  const template = chosen && ownValue(chosen, 'template');
  return typeof template === 'string' ? template : null;
}

/**
 * Loads the tokenizer of a model folder. With `expected.vocabSize` (rows of the model's embedding) a tokenizer with more ids is
 * refused; fewer are fine, models pad their tables.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported`, `bad-input` (more ids than the model has)
 */
export async function loadTokenizer(folder: string, expected?: { vocabSize: number }): Promise<Tokenizer> {
  const config = await optionalJson(folder, 'tokenizer_config.json');
  const special = await optionalJson(folder, 'special_tokens_map.json');
  const modelConfig = await optionalJson(folder, 'config.json');
  const generationConfig = await optionalJson(folder, 'generation_config.json');
  const has = (name: string) => existsSync(path.join(folder, name));
  let definition: TokenizerDefinition;
  let named = specialTokens({ texts: [config, special], ids: [generationConfig, modelConfig] });
  if (has('tokenizer.json'))
    definition = checkDefinition(
      folder,
      await readJsonObject(path.join(folder, 'tokenizer.json'), largestTokenizerBytes, 24),
    );
  else if (has('vocab.json') && has('merges.txt'))
    definition = checkDefinition(folder, await tokenizerJsonFromVocab(folder, config, special, modelConfig));
  else if (has('tokenizer.model')) {
    const found = await definitionFromSentencePiece(folder, config, special);
    ({ definition } = found);
    named = {
      bos: named.bos ?? found.special.bos,
      eos: named.eos ?? found.special.eos,
      pad: named.pad ?? found.special.pad,
      unk: named.unk ?? found.special.unk,
    };
  } else throw new TritsmithError('not-found', 'tokenizer.none', { folder });
  const tokenizer = createTokenizer(folder, definition, named, await chatTemplateOf(folder, config));
  if (expected && tokenizer.vocabSize > expected.vocabSize)
    throw new TritsmithError('bad-input', 'tokenizer.of-another-model', {
      folder,
      ids: tokenizer.vocabSize,
      vocabulary: expected.vocabSize,
    });
  return tokenizer;
}
