/** Every setting of the method, with what the paper (or, where it says so, its released code) uses. Names and effects are in texts.ts. */
export interface ExpertSetting {
  readonly path: string;
  readonly kind: 'number' | 'whole' | 'choice' | 'switch';
  readonly options?: readonly string[];
  /** A word that the field takes besides a number. */
  readonly word?: string;
  /** What the paper uses; null where it does not say. */
  readonly paper: string | null;
  readonly group: ExpertGroup;
}
export const expertGroups = ['general', 'finetune', 'refine', 'pretrain', 'distil', 'limits'] as const;
export type ExpertGroup = (typeof expertGroups)[number];

const schedules = ['cosine', 'linear', 'constant'] as const;
function optimiser(group: 'finetune' | 'pretrain' | 'distil', rate: string | null): ExpertSetting[] {
  const path = (name: string): string => `${group}.optimiser.${name}`;
  return [
    { path: path('learningRate'), kind: 'number', paper: rate, group },
    { path: path('schedule'), kind: 'choice', options: schedules, paper: 'cosine or linear', group },
    { path: path('warmup'), kind: 'number', paper: '0.05', group },
    { path: path('batchSize'), kind: 'whole', paper: '32', group },
    { path: path('microBatchTokens'), kind: 'whole', paper: null, group },
    { path: path('weightDecay'), kind: 'number', paper: '0.01 to 0.1', group },
    { path: path('clipNorm'), kind: 'number', paper: null, group },
    { path: path('beta1'), kind: 'number', paper: null, group },
    { path: path('beta2'), kind: 'number', paper: null, group },
    { path: path('epsilon'), kind: 'number', paper: null, group },
  ];
}
const found = '5e-5 (0.6 B), 5e-6 (1.7 B)';

export const expertSettings: readonly ExpertSetting[] = [
  { path: 'seed', kind: 'whole', paper: null, group: 'general' },
  { path: 'task.limit', kind: 'whole', paper: null, group: 'general' },
  { path: 'task.maxNewTokens', kind: 'whole', paper: null, group: 'general' },
  { path: 'baseline', kind: 'switch', paper: 'yes', group: 'general' },
  { path: 'finetune.epochs', kind: 'number', paper: '2 to 3', group: 'finetune' },
  { path: 'finetune.steps', kind: 'whole', paper: null, group: 'finetune' },
  ...optimiser('finetune', found),
  { path: 'refine.subln', kind: 'choice', options: ['none', 'paper', 'all'], paper: 'paper', group: 'refine' },
  { path: 'refine.sublnInit', kind: 'choice', options: ['ones', 'calibrated'], paper: 'ones', group: 'refine' },
  { path: 'refine.dropQkvBias', kind: 'switch', paper: null, group: 'refine' },
  { path: 'pretrain.tokens', kind: 'whole', paper: '10 billion', group: 'pretrain' },
  { path: 'pretrain.sequenceLength', kind: 'whole', paper: null, group: 'pretrain' },
  ...optimiser('pretrain', null),
  { path: 'distil.epochs', kind: 'number', paper: '2 to 3', group: 'distil' },
  { path: 'distil.steps', kind: 'whole', paper: null, group: 'distil' },
  { path: 'distil.lambda', kind: 'number', paper: '10 (summaries: 1)', group: 'distil' },
  { path: 'distil.tau', kind: 'number', paper: '5', group: 'distil' },
  { path: 'distil.tauSquared', kind: 'switch', paper: 'no (its code: yes)', group: 'distil' },
  {
    path: 'distil.logitsTokens',
    kind: 'choice',
    options: ['response', 'all'],
    paper: 'response (its code: all)',
    group: 'distil',
  },
  { path: 'distil.gamma', kind: 'number', word: 'balanced', paper: '1e5 (summaries: 1e3)', group: 'distil' },
  { path: 'distil.gammaRatio', kind: 'number', paper: null, group: 'distil' },
  { path: 'distil.layer', kind: 'whole', paper: '22 of 28 (0.6 B), 24 (1.7 B)', group: 'distil' },
  { path: 'distil.splitHeads', kind: 'whole', word: 'auto', paper: '32 (its code)', group: 'distil' },
  { path: 'distil.studentInit', kind: 'choice', options: ['base', 'teacher'], paper: 'base', group: 'distil' },
  { path: 'distil.anneal', kind: 'number', paper: null, group: 'distil' },
  ...optimiser('distil', found),
  { path: 'evaluation.everySteps', kind: 'whole', paper: null, group: 'limits' },
  { path: 'evaluation.rowsDuringTraining', kind: 'whole', paper: null, group: 'limits' },
  { path: 'checkpoint.steps', kind: 'whole', paper: null, group: 'limits' },
  { path: 'checkpoint.minutes', kind: 'number', paper: null, group: 'limits' },
  { path: 'recomputeActivations', kind: 'switch', paper: null, group: 'limits' },
  { path: 'fixedPointGradients', kind: 'switch', paper: 'no', group: 'limits' },
  { path: 'threads', kind: 'whole', paper: null, group: 'limits' },
];
