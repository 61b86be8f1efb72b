/** The three models of an experiment, in the order of every table, with the colour that each keeps everywhere. */
export const models = ['teacher', 'bitnet-sft', 'bitdistill'] as const;
export type ModelName = (typeof models)[number];

export const modelColour: Record<ModelName, string> = {
  teacher: '--model-teacher',
  'bitnet-sft': '--model-sft',
  bitdistill: '--model-student',
};
