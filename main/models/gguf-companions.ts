/** The small files that a Hugging Face folder of the model in a GGUF file would have beside its weights, made from the file's metadata. */
import { TritsmithError } from '../contract/errors.ts';
import type { JsonObject } from '../basics/bounded-json.ts';
import { type GgufFile, openGguf, tokenizerOfMetadata } from '../formats/gguf/index.ts';
import { definitionJson } from '../formats/tokenizers/index.ts';
import { settingsOfGguf } from './architectures/gguf-settings.ts';
import type { Companions } from './companion-files.ts';

const idOf = ({ metadata }: GgufFile, kind: string): number | null => {
  const value = metadata.get(`tokenizer.ggml.${kind}_token_id`)?.value;
  return typeof value === 'number' ? value : null;
};

function tokenizerSettings(file: GgufFile): JsonObject {
  const tokenizer = tokenizerOfMetadata(file.path, file.metadata);
  const { bosId, eosId, padId, unkId, chatTemplate } = tokenizer;
  const named = { bos_token: bosId, eos_token: eosId, pad_token: padId, unk_token: unkId };
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(
      Object.entries(named).map(([key, id]) => [key, id === null ? null : tokenizer.idToToken(id)]),
    ),
    ...(chatTemplate === null ? {} : { chat_template: chatTemplate }),
  };
}

/** Ids that begin, end and pad a text; an answer ends at the end of a turn, too, where the file names one. */
function generationSettings(file: GgufFile): JsonObject {
  const [eos, eot] = [idOf(file, 'eos'), idOf(file, 'eot')];
  const ends = [...new Set([eos, eot])].filter((id) => id !== null);
  const ids = {
    bos_token_id: idOf(file, 'bos'),
    eos_token_id: ends.length > 1 ? ends : (ends[0] ?? null),
    pad_token_id: idOf(file, 'padding'),
  };
  return Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== null));
}

const makers: Readonly<Record<string, (file: GgufFile) => JsonObject | Promise<JsonObject>>> = {
  'config.json': settingsOfGguf,
  'generation_config.json': generationSettings,
  'tokenizer.json': ({ path, metadata }) => definitionJson(tokenizerOfMetadata(path, metadata).definition),
  'tokenizer_config.json': tokenizerSettings,
};

/** @throws TritsmithError as `openGguf`; the files: as `settingsOfGguf` and `tokenizerOfMetadata`, `not-found` for other names */
export async function ggufCompanions(path: string): Promise<Companions> {
  const header = await openGguf(path);
  await header.close();
  const settings = async (name: string): Promise<JsonObject> => {
    const make = Object.hasOwn(makers, name) ? makers[name] : undefined;
    if (make === undefined) throw new TritsmithError('not-found', 'file.missing', { path: `${path} (${name})` });
    const file = await openGguf(path);
    try {
      return await make(file);
    } finally {
      await file.close();
    }
  };
  const begins = [...header.tensors.values()].map(({ begin }) => begin);
  return {
    names: new Set(Object.keys(makers)),
    travelling: begins.length === 0 ? 0 : Math.min(...begins),
    settings,
    bytes: async (name) => Buffer.from(`${JSON.stringify(await settings(name), null, 1)}\n`),
  };
}
