/** A tokenizer's definition as the tokenizer.json that the `tokenizers` library reads. */
import type { JsonObject } from '../../basics/bounded-json.ts';
import type { TokenizerDefinition } from './definition.ts';

export function definitionJson(definition: TokenizerDefinition): JsonObject {
  const { model } = definition;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: definition.addedTokens.map((token) => ({ ...token })),
    normalizer: definition.normalizer,
    pre_tokenizer: definition.preTokenizer,
    post_processor: definition.postProcessor,
    decoder: definition.decoder,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: model.unknownToken,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: model.fuseUnknown,
      byte_fallback: model.byteFallback,
      ignore_merges: model.ignoreMerges,
      vocab: { ...model.vocab },
      merges: model.merges.map(([left, right]) => [left, right]),
    },
  };
}
