/** The colour that each model keeps everywhere. */
import type { ComparedModel } from '../main/contract/model-names.ts';

export const modelColour: Record<ComparedModel, string> = {
  teacher: '--model-teacher',
  'teacher-q4_0': '--model-q4',
  'bitnet-sft': '--model-sft',
  bitdistill: '--model-student',
};
