/**
 * Which export types hold which quantisation: the one table that exports, pages, commands and docs/exports.md go by. A type that is missing here is the
 * teacher's and holds no ternary weights.
 */
import { TritsmithError } from './errors.ts';
import { message, type Message, type MessageId } from './messages/message.ts';
import { activationsOf, type Activations, type Quantisation } from './quantisation.ts';
import type { ExportType } from './recipe.ts';

/** Columns of a row that share a scale in a file; `matrix`: there is one scale for all weights; `any`: it has room for any. */
export const scalesInFiles: Readonly<Partial<Record<ExportType, 'matrix' | 'any' | number>>> = {
  i2_s: 'matrix',
  q2_0: 64,
  tq2_0: 256,
  tq1_0: 256,
  t3_4: 'any',
  hf: 'matrix',
  onnx: 16,
};

/**
 * Types whose files hold turned inputs and inputs of 4 bits: ONNX, whose graph says what is computed, and as files for Tritsmith alone, under an
 * architecture of its own that other programs refuse, I2_S and T3_4. A Hugging Face folder and the types of llama.cpp have no word for either.
 */
const holdActivations: readonly ExportType[] = ['i2_s', 't3_4', 'onnx'];

/** Whether inputs are turned or have 4 bits. */
export function hasOwnActivations({ activations }: { readonly activations?: Activations }): boolean {
  return activations !== undefined;
}

/** Messages of `quantisationObstacle`. */
const obstacles: ReadonlySet<string> = new Set<MessageId>([
  'export.three-of-four',
  'export.activations',
  'export.one-scale',
  'export.scale-blocks',
]);

/** Whether an obstacle is how a student is quantised, and not its shape or family. */
export function isOfQuantisation({ id }: { readonly id?: string | undefined }): boolean {
  return id !== undefined && obstacles.has(id);
}

/** Why files of a type can't hold a student that is quantised so; null where they can. */
export function quantisationObstacle(type: ExportType, quantisation: Quantisation): Message | null {
  const held = scalesInFiles[type];
  const { group } = quantisation.weights;
  if (held === undefined) return null;
  // Five bits are the 32 patterns of four weights that have one 0.
  if (type === 't3_4' && quantisation.weights.sparsity !== 'exactly-3:4') return message('export.three-of-four');
  if (hasOwnActivations(quantisation)) {
    if (!holdActivations.includes(type)) return message('export.activations', { type, ...activationsOf(quantisation) });
    // A file for Tritsmith alone has room for any scales.
    if (type === 'i2_s') return null;
  }
  if (group === 'tensor' || held === 'any') return null;
  if (held === 'matrix') return message('export.one-scale', { type, group });
  if (group === 'row' || group % held === 0) return null;
  return message('export.scale-blocks', { type, group, block: held });
}

/** @throws TritsmithError `unsupported` where `quantisationObstacle` says so */
export function assertHoldsQuantisation(type: ExportType, quantisation: Quantisation): void {
  const obstacle = quantisationObstacle(type, quantisation);
  if (obstacle !== null) throw new TritsmithError('unsupported', obstacle);
}
