/** Training and scoring: models, training, evaluation. */
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

export const engine = {
  'batch.foreign-token': ({ vocabulary, problem }: { vocabulary: number; problem: string }): Sentences => ({
    message: `A token id lies outside the model's vocabulary of ${vocabulary}.`,
    reason: problem,
    remedy: 'The tokenizer does not belong to this model: choose the folder that has both.',
  }),
  'batch.too-large-for-fixed-point': ({ tokens, most }: { tokens: number; most: number }, names: Names): Sentences => ({
    message: `A micro-batch of ${tokens} tokens is too large for gradients in 16-bit fixed point.`,
    reason: `Their sums are exact up to ${most} tokens.`,
    remedy: `Lower ${names.setting('optimiser.microBatchTokens')}, or start again without ${names.setting('fixedPointGradients')}.`,
  }),
  'processor.no-byte-products': (_: undefined, names: Names): Sentences => ({
    message: 'This processor cannot compute gradients in 16-bit fixed point.',
    reason:
      'It has no integer dot products (AVX-VNNI, AVX-512 VNNI or the ones of ARM), so large products of bytes would be cut off.',
    remedy: `Start the run again without ${names.setting('fixedPointGradients')}.`,
  }),
  'memory.parameters': ({ parameters, problem }: { parameters: number; problem: string }): Sentences => ({
    message: `There is not enough memory for ${parameters} parameters.`,
    reason: problem,
    remedy: 'Close other programs, or choose a smaller model.',
  }),
  'training.diverged': ({ step }: { step: number }, names: Names): Sentences => ({
    message: `Training diverged at step ${step}: the gradient is not a finite number.`,
    reason: 'The learning rate is too high for this model, or its weights are damaged.',
    remedy: `Start again with ${names.setting('optimiser.learningRate')} at a tenth of what it was.`,
  }),

  'scores.agreement-rows': ({ first, second }: { first: number; second: number }): Sentences => ({
    message: `Agreement needs the same rows from both models; it was given ${first} and ${second}.`,
    remedy: 'Evaluate both models on the same rows.',
  }),
  'scores.paired-rows': ({ gold, first, second }: { gold: number; first: number; second: number }): Sentences => ({
    message: `A paired comparison needs the same rows from both models; it was given ${gold}, ${first} and ${second}.`,
    remedy: 'Evaluate both models on the same rows.',
  }),
  'scores.bleu-rows': ({ references, predictions }: { references: number; predictions: number }): Sentences => ({
    message: `BLEU needs references for each prediction; it was given ${references} and ${predictions}.`,
  }),
  'scores.rouge-rows': ({ references, predictions }: { references: number; predictions: number }): Sentences => ({
    message: `ROUGE needs one prediction for each reference; it was given ${references} references and ${predictions} predictions.`,
  }),
  'scores.no-reference': ({ row }: { row: number }): Sentences => ({
    message: `Row ${row} has no reference.`,
    remedy: 'Give every row a right answer.',
  }),
  'scores.confusion-rows': ({ rows, predictions }: { rows: number; predictions: number }): Sentences => ({
    message: `A confusion matrix needs one prediction for each row; it was given ${rows} rows and ${predictions} predictions.`,
  }),
  'scores.unknown-class': ({ label, labels }: { label: string; labels: readonly string[] }): Sentences => ({
    message: `Class "${label}" is not one of ${labels.join(', ')}.`,
    remedy: 'Check the label column, or add the class to the task.',
  }),
  'scores.no-interval': ({ right, total }: { right: number; total: number }): Sentences => ({
    message: `No interval for ${right} right answers out of ${total}.`,
    reason: 'Both must be whole numbers, the first not larger than the second.',
  }),
  'scores.no-samples': ({ first, second }: { first: number; second: number }): Sentences => ({
    message: `Samples of ${first} and ${second} classes cannot be compared.`,
    reason: 'They must have the same classes, and rows on both sides.',
  }),
};
