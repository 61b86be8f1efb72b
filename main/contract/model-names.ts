/** The models of an experiment by the names that stand in files, in commands and in every table. */

/** Those that an experiment trains and exports, in the order of every table. */
export const trainedModels = ['teacher', 'bitnet-sft', 'bitdistill'] as const;
export type TrainedModel = (typeof trainedModels)[number];

/** What is laid side by side: these, and the fine-tuned teacher in four bits, which llama.cpp executes. */
export const comparedModels = ['teacher', 'teacher-q4_0', 'bitnet-sft', 'bitdistill'] as const;
export type ComparedModel = (typeof comparedModels)[number];

/** The fine-tuned teacher at full precision. */
export const teacherModel = 'teacher' as const satisfies TrainedModel;
/** The fine-tuned teacher as Q4_0: the usual way to make a model small. */
export const fourBitModel = 'teacher-q4_0' as const satisfies ComparedModel;
/** BitNet-SFT: ternary, trained on the labels alone. */
export const baselineModel = 'bitnet-sft' as const satisfies TrainedModel;
/** The BitDistill student: ternary, taught by the teacher; the model that a person keeps. */
export const studentModel = 'bitdistill' as const satisfies TrainedModel;
