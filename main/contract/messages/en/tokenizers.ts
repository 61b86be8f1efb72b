/** Tokenizers and templates. */
import type { Names } from '../names.ts';
import { capital, type Sentences } from '../sentences.ts';

const again = 'Download the tokenizer files of the model again.';

export const tokenizers = {
  'tokenizer.damaged': ({ source, reason }: { source: string; reason: string }): Sentences => ({
    message: `The tokenizer ${source} can't be used.`,
    reason,
    remedy: again,
  }),
  'tokenizer.unsupported': ({ source, reason }: { source: string; reason: string }): Sentences => ({
    message: `The tokenizer ${source} is of a kind that is not supported.`,
    reason,
    remedy: 'Supported are BPE tokenizers as Llama, Qwen, Gemma and GPT-2 have them.',
  }),
  'tokenizer.too-slow': ({ source, limit }: { source: string; limit: string }): Sentences => ({
    message: `The tokenizer ${source} takes too long.`,
    reason: `For one text ${limit}: the patterns in its files are such that the time grows without bound.`,
    remedy: 'Get the tokenizer files from a source that you trust.',
  }),
  'tokenizer.none': ({ folder }: { folder: string }): Sentences => ({
    message: `${folder} has no tokenizer.`,
    reason: 'It holds neither tokenizer.json nor tokenizer.model nor vocab.json with merges.txt.',
    remedy: 'Copy the tokenizer files of the model into the folder.',
  }),
  'tokenizer.of-another-model': ({
    folder,
    ids,
    vocabulary,
  }: {
    folder: string;
    ids: number;
    vocabulary: number;
  }): Sentences => ({
    message: `The tokenizer in ${folder} does not belong to this model.`,
    reason: `It has ids up to ${ids - 1}, the model's vocabulary has ${vocabulary} entries.`,
    remedy: 'Use the tokenizer files that came with the model.',
  }),
  'tokenizer.unknown-class': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `${folder} has vocab.json and merges.txt, but does not say how text is split.`,
    reason: `Its tokenizer class is ${name}; Qwen2 and GPT-2 are known.`,
    remedy: 'Add the tokenizer.json of the model to the folder.',
  }),
  'tokenizer.not-in-file': ({ path }: { path: string }, names: Names): Sentences => ({
    message: `${path} holds no tokenizer.`,
    remedy: `${capital(names.action('tokenizer.choose'))}.`,
  }),
  'tokenizer.unknown-in-file': (
    { path, model, pre, known }: { path: string; model: string; pre: string; known: readonly string[] },
    names: Names,
  ): Sentences => ({
    message: `The tokenizer inside ${path} can't be used.`,
    reason: `It is of kind "${model}", "${pre}"; known are llama, and gpt2 with ${known.join(', ')}.`,
    remedy: `${capital(names.action('tokenizer.choose'))}.`,
  }),
  'tokenizer.not-for-gguf': ({ reason }: { reason: string }): Sentences => ({
    message: "The tokenizer can't be written to a GGUF file.",
    reason,
    remedy:
      'Known are the tokenizers of GPT-2, Qwen2/2.5/3, Llama 3, SmolLM, and SentencePiece-style BPE as in Llama 2.',
  }),
  'tokenizer.more-ids-than-model': ({ ids, size }: { ids: number; size: number }): Sentences => ({
    message: `The tokenizer has ${ids} ids, the model only ${size}.`,
    remedy: 'Use the tokenizer files that came with the model.',
  }),
  'sentencepiece.unsupported': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} is of a kind that is not supported.`,
    reason,
    remedy:
      'Supported are BPE models as Llama 2, Mistral and Gemma have them; else add the tokenizer.json of the model.',
  }),
  'sentencepiece.unusable': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} can't be used.`,
    reason,
    remedy: again,
  }),
  'sentencepiece.damaged': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} is not a whole SentencePiece model.`,
    reason,
    remedy: again,
  }),
  'template.not-rendered': ({ what, problem }: { what: string; problem: string }): Sentences => ({
    message: `${what} can't be rendered.`,
    reason: problem,
    remedy: 'Correct the template: the names in {{ }} must be known ones, and every {% %} block must be closed.',
  }),
};
