/** What was tried on an exported file and found, what was not tried, and what to know of it elsewhere. */
import { bytesInWords, percent } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

const sameAnswersOf = (sameAnswers: number, rows: number): string =>
  `With the pruned vocabulary ${sameAnswers} of ${rows} held-out rows get the same answer`;

interface Sizes {
  hiddenSize: number;
  ffnSize: number;
  heads: number;
  kvHeads: number;
}

interface Padding {
  type: string;
  block: number;
  from: Sizes;
  to: Sizes;
  bodyBytes: number;
  tableBytes: number;
}

/** What grew, such as "hidden size 576 to 768, heads 9 to 12 (key and value 3 to 4)". */
function widerBy(from: Sizes, to: Sizes): string {
  const grown = [
    ...(from.hiddenSize === to.hiddenSize ? [] : [`hidden size ${from.hiddenSize} to ${to.hiddenSize}`]),
    ...(from.ffnSize === to.ffnSize ? [] : [`feed-forward size ${from.ffnSize} to ${to.ffnSize}`]),
    ...(from.heads === to.heads
      ? []
      : [`heads ${from.heads} to ${to.heads} (key and value ${from.kvHeads} to ${to.kvHeads})`]),
  ];
  return grown.join(', ');
}

export const proofs = {
  /** `largestLoss`: of the quantised ones, as a share of their largest value; 0 where there are none. */
  'proof.tensors': ({
    tensors,
    ternary,
    largestLoss,
  }: {
    tensors: number;
    ternary: number;
    largestLoss: number;
  }): Sentences => ({
    message:
      `${tensors} tensors were read back and are the model's` +
      (ternary > 0 ? `, ${ternary} ternary ones exactly` : '') +
      (largestLoss > 0 ? `; quantised ones within ${percent(largestLoss, 2)}.` : '.'),
  }),
  'proof.folder-tensors': ({ tensors }: { tensors: number }): Sentences => ({
    message: `${tensors} tensors were read back and are the student's, the packed ones exactly.`,
  }),
  'proof.parser': ({ tensors, keys }: { tensors: number; keys: number }): Sentences => ({
    message: `@huggingface/gguf reads the same ${tensors} tensors and ${keys} keys.`,
  }),
  'proof.parser-differs': (): Sentences => ({ message: '@huggingface/gguf reads other tensors than were written.' }),
  /** `exactShare`: of the places. `sensitivity`: what one rounding was seen to do. */
  'proof.runtime': ({
    prompts,
    tokens,
    sameTokens,
    largestDifference,
    exactShare,
    sensitivity,
  }: {
    prompts: number;
    tokens: number;
    sameTokens: number;
    largestDifference: number;
    exactShare: number;
    sensitivity: number;
  }): Sentences => ({
    message:
      `On ${prompts} prompts our runtime gives ${sameTokens} of ${tokens} greedy tokens as the graph engine does; ` +
      `logits differ by at most ${largestDifference.toExponential(1)} ` +
      `(${percent(exactShare, 0)} of the places by at most 1e-4; rounding alone moves them by ${sensitivity.toExponential(1)}).`,
  }),
  'proof.onnx': ({
    prompts,
    places,
    samePlaces,
    largestDifference,
    exactShare,
  }: {
    prompts: number;
    places: number;
    samePlaces: number;
    largestDifference: number;
    exactShare: number;
  }): Sentences => ({
    message:
      `On ${prompts} prompts ONNX Runtime gives the best token of the graph engine at ${samePlaces} of ${places} places; ` +
      `logits differ by at most ${largestDifference.toExponential(1)} (${percent(exactShare, 0)} by at most a ten-thousandth).`,
  }),
  'proof.llama-cpp': ({
    prompts,
    tokens,
    sameTokens,
    differenceFromOurs,
    largestDifference,
    allowed,
  }: {
    prompts: number;
    tokens: number;
    sameTokens: number;
    differenceFromOurs: number;
    largestDifference: number;
    allowed: number;
  }): Sentences => ({
    message:
      `llama.cpp loads it and on ${prompts} prompts gives ${sameTokens} of ${tokens} greedy tokens as Tritsmith does. Its logits differ from ` +
      `Tritsmith's by at most ${differenceFromOurs.toPrecision(2)}, because it rounds activations otherwise; with activations rounded as llama.cpp ` +
      `does, the training engine comes within ${largestDifference.toPrecision(2)} of it (allowed: ${allowed.toPrecision(2)}).`,
  }),
  /** `most`: tokens of an answer. */
  'proof.same-texts': ({
    rows,
    sameAnswers,
    most,
  }: {
    rows: number;
    sameAnswers: number;
    most: number;
  }): Sentences => ({
    message: `${sameAnswersOf(sameAnswers, rows)} (greedy, up to ${most} tokens).`,
    reason:
      sameAnswers === rows ? undefined : 'Where they differ, the student writes tokens that no row of the task holds.',
  }),
  'proof.same-classes': ({
    rows,
    sameAnswers,
    accuracyBefore,
    accuracyAfter,
  }: {
    rows: number;
    sameAnswers: number;
    accuracyBefore: number;
    accuracyAfter: number;
  }): Sentences => ({
    message: `${sameAnswersOf(sameAnswers, rows)}; accuracy ${percent(accuracyAfter)} (before: ${percent(accuracyBefore)}).`,
  }),
  'untried.not-installed': (_: undefined, names: Names): Sentences => ({
    message: 'It is not installed here.',
    reason: 'Once it is, exporting again runs the file in it.',
    remedy: `To install it: ${names.action('llama-cpp.install')}`,
  }),

  'note.onnx-whole-prompts': (): Sentences => ({
    message: 'It computes whole prompts without a key-value cache: right for classifiers, slow for long answers.',
  }),
  'note.embedding-as-f16': ({ asked }: { asked: string }): Sentences => ({
    message: `The embedding is F16: ${asked.toUpperCase()} is for GGUF files alone.`,
  }),
  'note.padded': ({ type, block, from, to, bodyBytes, tableBytes }: Padding): Sentences => ({
    message: `Rows of ${type} are multiples of ${block}, so zeros make the file wider: ${widerBy(from, to)}. Its answers stay the same; the linear layers take ${bytesInWords(bodyBytes)} more and the embedding ${bytesInWords(tableBytes)} more.`,
  }),
  'note.own-file': (): Sentences => ({
    message:
      'It is written for Tritsmith alone, so that the model can be measured and tried; no other program loads it.',
  }),
  'note.own-activations': ({ hadamard, bits }: { hadamard: boolean; bits: 8 | 4 }): Sentences => ({
    message: `Only Tritsmith runs it: its inputs ${[...(hadamard ? ['are turned by a Hadamard matrix'] : []), ...(bits === 4 ? ['are rounded to 4 bits'] : [])].join(' and ')}, which no other program does, so its architecture has a name of its own.`,
  }),
  'note.own-type': (): Sentences => ({
    message: 'Only Tritsmith runs it: no other program knows T3_4, so its architecture has a name of its own.',
  }),
  'note.bitnet-head': (): Sentences => ({
    message: 'llama.cpp and bitnet.cpp refuse a "bitnet" file with a head of its own; it runs in Tritsmith.',
  }),
  'note.bitnet-rope': (): Sentences => ({
    message: 'llama.cpp and bitnet.cpp refuse a "bitnet" file with rope scaling; it runs in Tritsmith.',
  }),
  'note.subln-not-in-llama-cpp': ({ architecture }: { architecture: string }): Sentences => ({
    message: `llama.cpp refuses SubLN in a "${architecture}" file; it runs in Tritsmith and, as I2_S, in bitnet.cpp.`,
  }),
  'note.subln-ours-alone': ({ architecture }: { architecture: string }): Sentences => ({
    message: `Neither llama.cpp nor bitnet.cpp has SubLN in a "${architecture}" file; it runs in Tritsmith.`,
  }),
  'note.window-ignored': ({ architecture, window }: { architecture: string; window: number }): Sentences => ({
    message: `llama.cpp reads a "${architecture}" file as if it had no window: beyond ${window} tokens it computes something else.`,
  }),
  'note.phi3-apart': (): Sentences => ({
    message:
      'llama.cpp wants gate and up of a "phi3" file in one matrix; this one has them apart and runs in Tritsmith.',
  }),
  'note.no-byte-tokens': (): Sentences => ({
    message: 'The vocabulary has no byte tokens: llama.cpp fails on characters that the vocabulary lacks.',
  }),
  'note.pairs-merged-otherwise': ({ pairs }: { pairs: number }): Sentences => ({
    message: `llama.cpp merges by token, this tokenizer by pair: ${pairs} pairs merge otherwise there, so some texts are split differently.`,
  }),
  'note.space-after-special-tokens': (): Sentences => ({
    message:
      'llama.cpp marks a space after every special token, this tokenizer only at the beginning of a text: chats may be split differently.',
  }),
  'note.tokens-around-text': ({ tokens }: { tokens: readonly string[] }): Sentences => ({
    message: `This tokenizer puts other tokens around a text than a GGUF file can ask for (${tokens.join(' ')}): write them into the prompt yourself in llama.cpp and bitnet.cpp.`,
  }),
  'note.end-token-after-text': ({ token }: { token: string }): Sentences => ({
    message: `This tokenizer puts its end token after every text, and so does the file (add_eos_token). The command-line programs of llama.cpp and bitnet.cpp refuse that: add --override-kv tokenizer.ggml.add_eos_token=bool:false there and end the prompt with ${token}.`,
  }),
};
