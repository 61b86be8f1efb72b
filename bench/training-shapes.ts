/** Students that a step is measured with. */
import type { ModelConfiguration } from '../main/models/configuration.ts';
import { qwen3 } from '../main/pipeline/inspect/estimate-models.ts';

const student = { ...qwen3, ropeTheta: 10_000, maxPositions: 512, ternary: true, subln: 'paper' } as const;

export interface TrainingShape {
  readonly configuration: ModelConfiguration;
  /** Rows of a step. */
  readonly batch: number;
  /** Tokens of a row. */
  readonly length: number;
  /** Tokens at the end of each row that are learned. */
  readonly learned: number;
}

export const trainingShapes: Readonly<Record<string, TrainingShape>> = {
  '15m': {
    configuration: {
      ...student,
      vocabSize: 32_000,
      hiddenSize: 288,
      layers: 6,
      heads: 6,
      kvHeads: 3,
      headSize: 48,
      ffnSize: 768,
    },
    batch: 16,
    length: 128,
    learned: 127,
  },
  '110m': {
    configuration: {
      ...student,
      vocabSize: 32_000,
      hiddenSize: 768,
      layers: 12,
      heads: 12,
      kvHeads: 6,
      headSize: 64,
      ffnSize: 2048,
    },
    batch: 8,
    length: 128,
    learned: 127,
  },
  /** Qwen3-0.6B's shape with rows of 512 tokens. */
  '600m': {
    configuration: { ...student, layers: 28, hiddenSize: 1024, ffnSize: 3072, heads: 16 },
    batch: 1,
    length: 512,
    learned: 511,
  },
  /** SmolLM2-135M's shape on rows as SST-2 has them: what a step costs beside its products. */
  '135m-rows': {
    configuration: {
      ...student,
      tiedEmbeddings: true,
      vocabSize: 49_152,
      hiddenSize: 576,
      layers: 30,
      heads: 9,
      kvHeads: 3,
      headSize: 64,
      ffnSize: 1536,
    },
    batch: 32,
    length: 14,
    learned: 2,
  },
};
