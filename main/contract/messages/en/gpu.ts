/** Training on a graphics card. */
import { bytesInWords } from '../../quantities.ts';
import type { Sentences } from '../sentences.ts';

export const gpu = {
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
