/** Every setting of the method that an expert may want, with the paper's value beside it. Texts are in texts.ts. */
export interface ExpertSetting {
  readonly path: string;
  readonly kind: 'number' | 'whole' | 'choice' | 'switch' | 'balanced';
  readonly options?: readonly string[];
  /** What the paper uses. */
  readonly paper: string;
  readonly group: 'general' | 'finetune' | 'refine' | 'pretrain' | 'distil' | 'limits';
}

const schedules = ['cosine', 'linear', 'constant'] as const;
const optimiser = (group: 'finetune' | 'pretrain' | 'distil', rate: string): ExpertSetting[] => [
  { path: `${group}.optimiser.learningRate`, kind: 'number', paper: rate, group },
  { path: `${group}.optimiser.schedule`, kind: 'choice', options: schedules, paper: 'cosine', group },
  { path: `${group}.optimiser.warmup`, kind: 'number', paper: '0.05', group },
  { path: `${group}.optimiser.weightDecay`, kind: 'number', paper: '0.01', group },
  { path: `${group}.optimiser.clipNorm`, kind: 'number', paper: '1', group },
  { path: `${group}.optimiser.batchSize`, kind: 'whole', paper: '32', group },
  { path: `${group}.optimiser.microBatchTokens`, kind: 'whole', paper: '–', group },
];

export const expertSettings: readonly ExpertSetting[] = [
  { path: 'seed', kind: 'whole', paper: '–', group: 'general' },
  { path: 'task.limit', kind: 'whole', paper: '–', group: 'general' },
  { path: 'baseline', kind: 'switch', paper: 'yes', group: 'general' },
  { path: 'finetune.epochs', kind: 'number', paper: '2 to 3', group: 'finetune' },
  ...optimiser('finetune', '5e-5 at 0.6 B'),
  { path: 'refine.subln', kind: 'choice', options: ['none', 'paper', 'all'], paper: 'paper', group: 'refine' },
  { path: 'refine.sublnInit', kind: 'choice', options: ['ones', 'calibrated'], paper: 'ones', group: 'refine' },
  { path: 'pretrain.tokens', kind: 'whole', paper: '10 billion', group: 'pretrain' },
  { path: 'pretrain.sequenceLength', kind: 'whole', paper: '–', group: 'pretrain' },
  ...optimiser('pretrain', '5e-5 at 0.6 B'),
  { path: 'distil.epochs', kind: 'number', paper: '2 to 3', group: 'distil' },
  { path: 'distil.lambda', kind: 'number', paper: '10 (summaries: 1)', group: 'distil' },
  { path: 'distil.gamma', kind: 'balanced', paper: '1e5 (summaries: 1e3)', group: 'distil' },
  { path: 'distil.gammaRatio', kind: 'number', paper: '–', group: 'distil' },
  { path: 'distil.tau', kind: 'number', paper: '5', group: 'distil' },
  { path: 'distil.tauSquared', kind: 'switch', paper: 'no', group: 'distil' },
  { path: 'distil.logitsTokens', kind: 'choice', options: ['response', 'all'], paper: 'response', group: 'distil' },
  { path: 'distil.layer', kind: 'whole', paper: '22 of 28', group: 'distil' },
  { path: 'distil.studentInit', kind: 'choice', options: ['base', 'teacher'], paper: 'base', group: 'distil' },
  ...optimiser('distil', '5e-5 at 0.6 B'),
  { path: 'evaluation.everySteps', kind: 'whole', paper: '–', group: 'limits' },
  { path: 'evaluation.rowsDuringTraining', kind: 'whole', paper: '–', group: 'limits' },
  { path: 'checkpoint.steps', kind: 'whole', paper: '–', group: 'limits' },
  { path: 'checkpoint.minutes', kind: 'number', paper: '–', group: 'limits' },
  { path: 'recomputeActivations', kind: 'switch', paper: '–', group: 'limits' },
  { path: 'threads', kind: 'whole', paper: '16', group: 'limits' },
];
