/** Whether a program runs an exported file, and why or why not. */
import type { Sentences } from '../sentences.ts';

function asGguf(student: boolean): string {
  return student
    ? 'export the student as GGUF.'
    : 'a teacher is exported as F16, Q8_0 or Q4_0, its student as I2_S, Q2_0, TQ2_0, TQ1_0 or, where it was trained so, T3_4.';
}

export const verdicts = {
  'verdict.loaded': ({ architecture, kernel }: { architecture: string; kernel: string }): Sentences => ({
    message: `It loads as "${architecture}" (kernel ${kernel}).`,
  }),
  'verdict.loads': ({ architecture }: { architecture: string }): Sentences => ({
    message: `It loads "${architecture}" models of these tensor types.`,
  }),
  'verdict.no-pre-tokenizer': (): Sentences => ({
    message: 'It names no pre-tokenizer (tokenizer.ggml.pre), so text would be split wrongly.',
  }),
  'verdict.bitnet-sub-norms': (): Sentences => ({
    message: 'A "bitnet" file needs attn_sub_norm and ffn_sub_norm.',
  }),
  'verdict.bitnet-head': (): Sentences => ({
    message: 'A "bitnet" file may have no head of its own (output.weight).',
  }),
  'verdict.bitnet-rope': (): Sentences => ({ message: 'A "bitnet" file may have no rope scaling (rope_freqs).' }),
  'verdict.i2s-for-bitnet-cpp': (): Sentences => ({
    message: 'Tensor type 36 (I2_S) is known to bitnet.cpp alone; export TQ2_0 or Q2_0 for llama.cpp.',
  }),
  'verdict.no-place-for-subln': (): Sentences => ({
    message: 'It has no place for SubLN (*_norm_in) in this architecture.',
  }),
  'verdict.unknown-architecture': ({ architecture }: { architecture: string }): Sentences => ({
    message: `Not known here for the architecture "${architecture}".`,
  }),
  'verdict.own-architecture': ({ architecture }: { architecture: string }): Sentences => ({
    message: `It does not know "${architecture}": inputs that are turned or have 4 bits, and weights in 1.25 bits, are Tritsmith's alone.`,
  }),
  'verdict.phi3-apart': (): Sentences => ({
    message: 'It wants gate and up of "phi3" in one matrix; here they are apart.',
  }),
  'verdict.qwen2-scales': (): Sentences => ({
    message: 'Its "qwen2" leaves the scales of the feed-forward layers out; export again, as "llama".',
  }),
  'verdict.scales-left-out': ({ architecture }: { architecture: string }): Sentences => ({
    message: `Its "${architecture}" leaves scales beside the matrices out in llama.cpp. With a scale for each row or for some columns they are in the matrices' blocks, which it reads.`,
  }),
  'verdict.scales-apart': (): Sentences => ({
    message: 'Its scales are in tensors of their own, which llama.cpp applies.',
  }),
  'verdict.q2-needs-recent': (): Sentences => ({
    message: 'Its type Q2_0 (42) needs llama.cpp of July 2026 or later, which applies the scales beside the matrices.',
  }),
  'verdict.types-of-a-fork': (): Sentences => ({
    message: 'Tensor types 142 and 143 (groups of 128) are known to a fork of llama.cpp alone.',
  }),
  'verdict.odd-row': ({ tensor }: { tensor: string }): Sentences => ({
    message: `Rows of ${tensor} are no multiple of 128; products would be wrong.`,
  }),
  'verdict.scales-beside-i2s': (): Sentences => ({
    message: 'Its ternary matrices have several scales each, in tensors beside them that it does not read.',
  }),
  'verdict.subln-families': (): Sentences => ({
    message: 'SubLN (*_norm_in) is read for qwen3 and gemma3 alone.',
  }),
  'verdict.only-i2s': (): Sentences => ({
    message: 'It is meant for ternary I2_S files; other types are for llama.cpp.',
  }),
  'verdict.bias-beside-subln': (): Sentences => ({ message: 'QKV bias beside SubLN is not loaded.' }),
  'verdict.recent-branch': (): Sentences => ({ message: 'With the main branch of July 2026 or later.' }),
  'verdict.squared-relu': ({ architecture }: { architecture: string }): Sentences => ({
    message: `Its trees from May 2025 to spring 2026 compute the squared ReLU of "${architecture}". That of July 2026 computes SiLU, so its answers are wrong, until it follows the key hidden_activation.`,
  }),
  'verdict.only-folders': (): Sentences => ({ message: 'It reads Hugging Face folders; export the type "hf".' }),
  'verdict.no-configuration': (): Sentences => ({ message: 'There is no config.json beside it.' }),
  'verdict.latent': (): Sentences => ({
    message: 'It holds the latent weights of a student in training; export it first.',
  }),
  'verdict.folder': ({ type }: { type: string }): Sentences => ({
    message: `Load the folder; its model type is "${type}".`,
  }),
  'verdict.only-gguf': ({ student }: { student: boolean }): Sentences => ({
    message: `It reads GGUF files; ${asGguf(student)}`,
  }),
  'verdict.runtime-reads-gguf': ({ student }: { student: boolean }): Sentences => ({
    message: `Its runtime reads GGUF files; ${asGguf(student)}`,
  }),
  'verdict.teacher': (): Sentences => ({
    message: 'It takes it as a teacher; its runtime reads GGUF files.',
  }),
};
