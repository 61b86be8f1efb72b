/** What a file of each type will weigh, from the model's shape. */
import { render } from '../../main/contract/messages/message.ts';
import type { Quantisation } from '../../main/contract/quantisation.ts';
import { isOfQuantisation, quantisationObstacle } from '../../main/contract/quantisation-in-files.ts';
import type { TeacherCard } from '../../main/contract/queries.ts';
import type { EmbeddingType, ExportType } from '../../main/contract/recipe.ts';

/** Bits per weight of the linear layers; what carries a scale per tensor is rounded to none. */
const linearBits: Record<ExportType, number> = {
  i2_s: 2,
  q2_0: 2.25,
  tq2_0: 2.0625,
  tq1_0: 1.6875,
  t3_4: 1.25,
  hf: 2,
  onnx: 2,
  f16: 16,
  q8_0: 8.5,
  q4_0: 4.5,
};
const embeddingBits: Record<EmbeddingType, number> = { f16: 16, f32: 32, q8_0: 8.5, q6_k: 6.5625 };

export const studentTypes = ['i2_s', 'q2_0', 'tq2_0', 'tq1_0', 't3_4', 'hf', 'onnx'] as const;
export type StudentType = (typeof studentTypes)[number];
export const teacherTypes = ['f16', 'q8_0', 'q4_0'] as const;

/** Hugging Face folders and ONNX files keep the embedding as 16 or 32 bits. */
export function embeddingsFor(type: ExportType, { hiddenSize }: TeacherCard): EmbeddingType[] {
  const dense: EmbeddingType[] = ['f16', 'f32'];
  if (type === 'hf' || type === 'onnx') return dense;
  return [
    'f16',
    ...(hiddenSize % 32 === 0 ? (['q8_0'] as const) : []),
    ...(hiddenSize % 256 === 0 ? (['q6_k'] as const) : []),
    'f32',
  ];
}

export function estimatedBytes(
  card: TeacherCard,
  type: ExportType,
  embedding: EmbeddingType,
): { body: number; file: number } {
  const table = card.vocabularySize * card.hiddenSize * (card.tiedEmbedding ? 1 : 2);
  const rest = Math.max(0, card.student.fileBytes - card.student.bodyBytes - table * 2);
  const zeros = capability(card, type)?.padding ?? { bodyBytes: 0, tableBytes: 0 };
  const body = (card.bodyParameters * linearBits[type]) / 8 + zeros.bodyBytes;
  return { body, file: body + ((table + zeros.tableBytes / 2) * embeddingBits[embedding]) / 8 + rest };
}

/** What a file of this type makes of the model; undefined for a card of an older version. */
export function capability(card: TeacherCard, type: ExportType): TeacherCard['exports'][number] | undefined {
  return card.exports.find((each) => each.type === type);
}

/** Whether a file of this type can hold the model; of T3_4 an older card does not know it. */
export function holds(type: ExportType, card: TeacherCard): boolean {
  const known = capability(card, type);
  return known === undefined ? type !== 't3_4' : known.obstacle === null;
}

/** What of a model a type can't hold, where `holds` says no: how it was quantised in training, that it is ternary, or something else of it. */
export function unfit(type: ExportType, card: TeacherCard): 'quantisation' | 'ternary' | 'model' {
  const obstacle = capability(card, type)?.obstacle;
  if (obstacle && isOfQuantisation(obstacle)) return 'quantisation';
  return obstacle?.id === 'export.ternary-as-dense' ? 'ternary' : 'model';
}

/** A card, which is of an ordinary student, as that of one that is quantised so. */
export function cardOf(card: TeacherCard, quantisation: Quantisation): TeacherCard {
  const exports = card.exports.map((each) => {
    if ((teacherTypes as readonly ExportType[]).includes(each.type)) return each;
    const obstacle = quantisationObstacle(each.type, quantisation);
    if (obstacle !== null) return { ...each, obstacle: { ...obstacle, text: render(obstacle).message }, padding: null };
    return each.obstacle?.id === 'export.three-of-four' ? { ...each, obstacle: null } : each;
  });
  return { ...card, exports };
}

/** The choice that makes the student's smallest whole file, and how many times smaller than the teacher as F16 that is. */
export function smallestStudent(card: TeacherCard): {
  type: StudentType;
  embedding: EmbeddingType;
  bytes: number;
  times: number;
} {
  const [smallest] = studentTypes
    .filter((type) => holds(type, card))
    .flatMap((type) => embeddingsFor(type, card).map((embedding) => ({ type, embedding })))
    .map((choice) => ({ ...choice, bytes: estimatedBytes(card, choice.type, choice.embedding).file }))
    .sort((a, b) => a.bytes - b.bytes);
  return { ...smallest!, times: estimatedBytes(card, 'f16', 'f16').file / smallest!.bytes };
}
