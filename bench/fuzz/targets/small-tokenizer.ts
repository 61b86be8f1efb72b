/** Tokenizers small enough to be damaged and loaded a hundred thousand times. */

/** Byte-level BPE in the manner of GPT-2 and Qwen: all bytes and a few merges. */
export function smallTokenizer(): Record<string, unknown> {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let shifted = 256;
  const characters = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : shifted++));
  const merges = ['h e', 'l l', 'he ll', 'hell o', 'Ġ w'];
  const tokens = [...characters, ...merges.map((merge) => merge.replace(' ', ''))];
  return {
    version: '1.0',
    added_tokens: [{ id: 261, content: '<s>', special: true, normalized: false, lstrip: false, rstrip: true }],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }] },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: '\\p{N}{1,3}| ?\\p{L}+|\\s+' }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [261], tokens: ['<s>'] } },
    },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** SentencePiece in the manner of Llama 2, as a tokenizer.json. */
export function spacedTokenizer(): Record<string, unknown> {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '▁', 'h', 'e', 'l', 'o', 'he', 'll', '▁he', '▁hell', '▁hello'];
  return {
    added_tokens: tokens.slice(0, 3).map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['h e', 'l l', '▁ he', '▁he ll', '▁hell o'],
    },
  };
}
