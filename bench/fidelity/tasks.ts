/** The tasks of the fidelity benchmark: where their rows are, and what the paper reports of them. */

export type TaskName = 'sst2' | 'qnli' | 'mnli' | 'scitldr';

export interface FidelityTask {
  readonly kind: 'classification' | 'generation';
  /** Below `tasks` in the shared data. */
  readonly folder: string;
  readonly train: string;
  /** Evaluation rows; absent: a tenth of the training rows, held out by seed. */
  readonly dev?: string;
  /** Rows kept out of training that sharpen the comparison. */
  readonly tail?: string;
  readonly textColumns: readonly string[];
  readonly labelColumn: string;
  readonly maxLength: number;
  readonly maxNewTokens: number;
  /** What the paper reports of teacher, BitNet-SFT and BitDistill (Qwen3-0.6B; summarisation: ROUGE-L on CNN/DailyMail). */
  readonly paper: readonly [teacher: number, bitnetSft: number, bitdistill: number];
}

export const tasks: Record<TaskName, FidelityTask> = {
  sst2: {
    kind: 'classification',
    folder: 'sst2',
    train: 'train.tsv',
    dev: 'dev.tsv',
    tail: 'train_tail10.tsv',
    textColumns: ['sentence'],
    labelColumn: 'label',
    maxLength: 128,
    maxNewTokens: 8,
    paper: [94.21, 79.92, 94.3],
  },
  qnli: {
    kind: 'classification',
    folder: 'qnli',
    train: 'train.json',
    dev: 'val.json',
    textColumns: ['text_a', 'text_b'],
    labelColumn: 'label',
    maxLength: 256,
    maxNewTokens: 8,
    paper: [93.72, 78.32, 93.66],
  },
  mnli: {
    kind: 'classification',
    folder: 'mnli',
    train: 'train.json',
    textColumns: ['text_a', 'text_b'],
    labelColumn: 'label',
    maxLength: 256,
    maxNewTokens: 8,
    paper: [88.01, 74.09, 88.17],
  },
  scitldr: {
    kind: 'generation',
    folder: 'scitldr',
    train: 'train.jsonl',
    dev: 'dev.jsonl',
    textColumns: ['source'],
    labelColumn: 'target',
    maxLength: 512,
    maxNewTokens: 64,
    paper: [27.72, 24.84, 27.49],
  },
};
