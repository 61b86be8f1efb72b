/** The models of an experiment, in the order of every table, with the colour that each keeps everywhere. */
export const comparedModels = ['teacher', 'teacher-q4_0', 'bitnet-sft', 'bitdistill'] as const;
export type ComparedName = (typeof comparedModels)[number];

/** Those that the experiment trains and exports. */
export const models = ['teacher', 'bitnet-sft', 'bitdistill'] as const;
export type ModelName = (typeof models)[number];

export const modelColour: Record<ComparedName, string> = {
  teacher: '--model-teacher',
  'teacher-q4_0': '--model-q4',
  'bitnet-sft': '--model-sft',
  bitdistill: '--model-student',
};
