/** What each export type can hold of a model, known from its shape alone: before any training, and without a weight. */
import { TritsmithError } from '../../contract/errors.ts';
import { tell, tellError, type Told } from '../../contract/messages/told.ts';
import { assertHoldsQuantisation } from '../../contract/quantisation-in-files.ts';
import { type ExportSettings, type ExportType, exportType } from '../../contract/recipe.ts';
import { checkShapeForType, tensorTypeByName } from '../../formats/gguf/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { encodingFor, type GgufEncoding, typeOfTensor } from './gguf-encoding.ts';
import { planHuggingFace } from './hugging-face-layout.ts';
import { paddingCost, planFile } from './padded-plan.ts';

export type GgufType = Exclude<ExportType, 'hf' | 'onnx'>;

const linearTypes: Record<GgufType, GgufEncoding['linear']> = {
  i2_s: 'I2_S',
  q2_0: 'Q2_0',
  tq2_0: 'TQ2_0',
  tq1_0: 'TQ1_0',
  t3_4: 'T3_4',
  f16: 'F16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
};

export function isGgufType(type: ExportType): type is GgufType {
  return type !== 'hf' && type !== 'onnx';
}

/** Types that are exports of the fine-tuned teacher; the others are the student's. */
const teacherTypes: readonly ExportType[] = ['f16', 'q8_0', 'q4_0'];

export function isTeacherType(type: ExportType): boolean {
  return teacherTypes.includes(type);
}

export function encodingOf(type: GgufType, { embedding }: ExportSettings): GgufEncoding {
  return { linear: linearTypes[type], embedding: embedding.toUpperCase() as GgufEncoding['embedding'] };
}

type Shape = Pick<ExportSettings, 'type' | 'embedding'>;

/**
 * Refuses a model that a file of this type can't hold.
 * @param configuration of the teacher for the teacher's types, else of the student
 * @throws TritsmithError `unsupported`, with the way out
 */
export function assertHolds({ type, embedding }: Shape, configuration: ModelConfiguration): void {
  if (type === 'onnx') {
    assertHoldsQuantisation(type, configuration.quantisation);
    return;
  }
  if (type === 'hf') {
    planHuggingFace(configuration);
    return;
  }
  if (isTeacherType(type) && configuration.ternary)
    throw new TritsmithError('unsupported', 'export.ternary-as-dense', { type });
  const asked = encodingOf(type, { type, embedding });
  const { tensors } = planFile(configuration, asked);
  const encoding = encodingFor(configuration, asked);
  // Files of our own have rows of any width.
  for (const tensor of encoding.own ? tensors.filter(({ kind }) => kind !== 'linear') : tensors)
    checkShapeForType(tensor.name, tensorTypeByName(typeOfTensor(tensor, encoding)), tensor.shape);
}

/** What keeps a model out of a file of this type; null where nothing does. Parameters as `assertHolds`. */
export function exportObstacle(shape: Shape, configuration: ModelConfiguration): Told | null {
  try {
    assertHolds(shape, configuration);
    return null;
  } catch (thrown) {
    const error = TritsmithError.from(thrown);
    if (error.code === 'unsupported') return tellError(error);
    throw error;
  }
}

/** What an export type makes of a model: what is in its way, or what padding costs. */
export interface ExportCapability {
  readonly type: ExportType;
  /** Why no such file can be written; null where it can. */
  readonly obstacle: Told | null;
  /** Bytes that zeros add to linear layers, and to embedding and head (F16); null where the file is no wider than the model. */
  readonly padding: { readonly bodyBytes: number; readonly tableBytes: number } | null;
}

function capability(type: ExportType, configuration: ModelConfiguration): ExportCapability {
  const settings = { type, embedding: 'f16' } as const;
  const obstacle = exportObstacle(settings, configuration);
  const cost = obstacle === null && isGgufType(type) ? paddingCost(configuration, encodingOf(type, settings)) : null;
  return { type, obstacle, padding: cost && { bodyBytes: cost.bodyBytes, tableBytes: cost.tableBytes } };
}

/** Every export type, with an F16 embedding. */
export function exportCapabilities(student: ModelConfiguration, teacher: ModelConfiguration): ExportCapability[] {
  return exportType.options.map((type) => capability(type, isTeacherType(type) ? teacher : student));
}

/**
 * The type that a student is exported as where nobody asks for one: I2_S or, where that would be padded, Q2_0 if that is not; then either of them
 * padded; where no GGUF file holds the student, the Hugging Face folder.
 */
export function defaultExportType(student: ModelConfiguration): 'i2_s' | 'q2_0' | 'hf' {
  const possible = (['i2_s', 'q2_0'] as const).filter((type) => capability(type, student).obstacle === null);
  return possible.find((type) => capability(type, student).padding === null) ?? possible[0] ?? 'hf';
}

/** What to know before training of the file that a student of this shape becomes; null for an ordinary one. */
export function defaultExportNote(student: ModelConfiguration): Told | null {
  const chosen = defaultExportType(student);
  const { obstacle, padding } = capability('i2_s', student);
  if (obstacle !== null) return tell('teacher.no-gguf', { why: obstacle });
  return padding === null ? null : tell('teacher.padded', { chosen, ...padding });
}
