/** Every setting of the method, with what the paper (or, where it says so, its released code) uses. Names and effects are in texts.ts. */
import { type FieldKind, fieldKind } from '../../main/contract/recipe-fields.ts';

export interface ExpertSetting extends FieldKind {
  readonly path: string;
  /** What the paper uses; null where it does not say. */
  readonly paper: string | null;
  readonly group: ExpertGroup;
}
export const expertGroups = [
  'general',
  'finetune',
  'refine',
  'quantisation',
  'calibrate',
  'reconstruct',
  'pretrain',
  'distil',
  'choice',
  'limits',
] as const;
export type ExpertGroup = (typeof expertGroups)[number];

/** A setting with what the recipe's schema lets it be. */
function setting(group: ExpertGroup, path: string, paper: string | null = null): ExpertSetting {
  return { group, path, paper, ...fieldKind(path) };
}

function optimiser(group: 'finetune' | 'reconstruct' | 'pretrain' | 'distil', rate: string | null): ExpertSetting[] {
  const of = (name: string, paper: string | null = null) => setting(group, `${group}.optimiser.${name}`, paper);
  return [
    of('learningRate', rate),
    ...(group === 'finetune' ? [] : [of('ternaryRate')]),
    of('schedule', 'cosine or linear'),
    of('warmup', '0.05'),
    of('batchSize', '32'),
    of('microBatchTokens'),
    of('weightDecay', '0.01 to 0.1'),
    of('clipNorm'),
    of('beta1'),
    of('beta2'),
    of('epsilon'),
    of('moments'),
  ];
}
const found = '5e-5 (0.6 B), 5e-6 (1.7 B)';

export const expertSettings: readonly ExpertSetting[] = [
  setting('general', 'seed'),
  setting('general', 'task.limit'),
  setting('general', 'task.maxNewTokens'),
  setting('general', 'baseline', 'yes'),
  setting('finetune', 'finetune.epochs', '2 to 3'),
  setting('finetune', 'finetune.steps'),
  ...optimiser('finetune', found),
  setting('refine', 'refine.subln', 'paper'),
  setting('refine', 'refine.sublnInit', 'ones'),
  setting('refine', 'refine.dropQkvBias'),
  setting('quantisation', 'quantisation.weights.scale', 'absmean'),
  setting('quantisation', 'quantisation.weights.group', 'tensor'),
  setting('quantisation', 'quantisation.weights.sparsity', 'none'),
  setting('quantisation', 'quantisation.activations.hadamard', 'no'),
  setting('quantisation', 'quantisation.activations.bits', '8'),
  setting('quantisation', 'quantisation.activations.eightBitShare', '0.95 (BitNet v2’s)'),
  setting('calibrate', 'calibrate.method', 'none'),
  setting('calibrate', 'calibrate.rows'),
  setting('calibrate', 'calibrate.damping', '0.01 (GPTQ’s)'),
  setting('reconstruct', 'reconstruct.epochs'),
  setting('reconstruct', 'reconstruct.steps'),
  setting('reconstruct', 'reconstruct.window'),
  setting('reconstruct', 'reconstruct.soften'),
  setting('reconstruct', 'reconstruct.laterRates'),
  setting('reconstruct', 'reconstruct.corpus'),
  setting('reconstruct', 'reconstruct.tokens'),
  setting('reconstruct', 'reconstruct.sequenceLength'),
  ...optimiser('reconstruct', null),
  setting('pretrain', 'pretrain.tokens', '10 billion'),
  setting('pretrain', 'pretrain.sequenceLength'),
  setting('pretrain', 'pretrain.soften'),
  ...optimiser('pretrain', null),
  setting('distil', 'teacherWrites.temperature'),
  setting('distil', 'teacherWrites.examples'),
  setting('distil', 'distil.epochs', '2 to 3'),
  setting('distil', 'distil.steps'),
  setting('distil', 'distil.lambda', '10 (summaries: 1)'),
  setting('distil', 'distil.tau', '5'),
  setting('distil', 'distil.tauSquared', 'no (its code: yes)'),
  setting('distil', 'distil.logitsTokens', 'response (its code: all)'),
  setting('distil', 'distil.tokenWeights', 'none'),
  setting('distil', 'distil.gamma', '1e5 (summaries: 1e3)'),
  setting('distil', 'distil.gammaRatio'),
  setting('distil', 'distil.hidden', 'none'),
  setting('distil', 'distil.layer', '22 of 28 (0.6 B), 24 (1.7 B)'),
  setting('distil', 'distil.splitHeads', '32 (its code)'),
  setting('distil', 'distil.studentInit', 'base'),
  setting('distil', 'distil.anneal'),
  setting('distil', 'distil.soften'),
  setting('distil', 'distil.teacherOnce', 'no'),
  setting('distil', 'distil.teacherTop', 'none'),
  ...optimiser('distil', found),
  setting('choice', 'keepBest.measure'),
  setting('choice', 'keepBest.rows'),
  setting('choice', 'keepBest.everySteps'),
  setting('choice', 'keepBest.patience'),
  setting('limits', 'evaluation.everySteps'),
  setting('limits', 'evaluation.rowsDuringTraining'),
  setting('limits', 'checkpoint.steps'),
  setting('limits', 'checkpoint.minutes'),
  setting('limits', 'recomputeActivations'),
  setting('limits', 'fixedPointGradients', 'no'),
  setting('limits', 'roundedProducts', 'bfloat16 throughout'),
  setting('limits', 'threads'),
];
