/** Training on a graphics card. */
import type { CardVerdict } from '../../cards.ts';
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

export const gpu = {
  'machine.no-webgpu': (_: undefined, names: Names): Sentences => ({
    message: 'Graphics card: not looked for',
    reason: 'Training runs on the processor. A card can train too, once WebGPU is installed (51 MB).',
    remedy: names.action('webgpu.install'),
  }),
  'machine.no-card': (): Sentences => ({
    message: 'Graphics card: none found',
    reason: 'The system names no card, or its driver offers neither Vulkan, Metal nor Direct3D 12.',
  }),
  'machine.card': ({
    name,
    driver,
    verdict,
  }: {
    name: string;
    driver: string;
    verdict: CardVerdict | null;
  }): Sentences => ({
    message: `Graphics card: ${name} (${driver})`,
    reason:
      verdict === null
        ? 'It was not used yet. Its arithmetic is checked, in seconds to minutes, before it first trains.'
        : verdict.failed === null
          ? `It may train: ${String(verdict.operations)} operations were held against the processor and against finite differences on it.`
          : `It computes wrongly, so nothing is trained on it: ${verdict.failed.operation}. ${verdict.failed.problem}`,
    ...(verdict?.failed ? { remedy: 'Update its driver: with another one it is checked again.' } : {}),
  }),
  'gpu.not-installed': (_: undefined, names: Names): Sentences => ({
    message: 'This run is to train on the graphics card, but WebGPU is not installed.',
    reason: 'It is no part of Tritsmith; it is fetched only when you ask for it (51 MB).',
    remedy: names.action('webgpu.install'),
  }),
  'gpu.none': (): Sentences => ({
    message: 'This run is to train on the graphics card, but none was found.',
    reason: 'The system names no card, or its driver offers neither Vulkan, Metal nor Direct3D 12.',
    remedy: 'Install the driver of the card, or train on the processor.',
  }),
  'gpu.not-trusted': ({
    name,
    operation,
    problem,
  }: {
    name: string;
    operation: string;
    problem: string;
  }): Sentences => ({
    message: `The graphics card ${name} computes wrongly, so nothing is trained on it: ${operation}.`,
    reason: problem,
    remedy: 'Update its driver: with another one it is checked again. Until then train on the processor.',
  }),
  'gpu.no-shards': (): Sentences => ({
    message: 'A run in shards trains on processors only.',
    reason: 'Shards promise the same bits for any number of ranks; a card does not keep that promise.',
    remedy: 'Choose the processor, or a run without shards.',
  }),
  'gpu.no-fixed-point': (_: undefined, names: Names): Sentences => ({
    message: 'A graphics card computes no gradients in 16-bit fixed point.',
    reason: 'They are a way to be faster on processors.',
    remedy: `Start the run again without ${names.setting('fixedPointGradients')}.`,
  }),
  'gpu.buffer-too-large': ({ bytes, most }: { bytes: number; most: number }): Sentences => ({
    message: `The graphics card takes no piece of ${bytesInWords(bytes)}.`,
    reason: `Its driver gives a kernel at most ${bytesInWords(most)} at a time, and a matrix or a batch of this model is larger.`,
    remedy: 'Train on the processor, or choose a model with a smaller vocabulary.',
  }),
  'gpu.out-of-memory': ({ problem }: { problem: string }): Sentences => ({
    message: 'The memory of the graphics card is full.',
    reason: problem,
    remedy: 'Close other programs that use the card, or train on the processor.',
  }),
  'gpu.lost': ({ problem }: { problem: string }): Sentences => ({
    message: 'The graphics card was lost in the middle of the work.',
    reason: `The driver was reset or updated, or the computer slept: ${problem}`,
    remedy: 'Resume the run: it goes on from its last checkpoint.',
  }),
};
