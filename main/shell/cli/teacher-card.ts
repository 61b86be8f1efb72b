/** A teacher as the command line shows it. */
import { wordsOf } from '../../contract/messages/told.ts';
import type { TeacherCard } from '../../contract/queries.ts';
import { bytes, count, parameters } from './quantities.ts';
import { facts } from './text-table.ts';

/** What is known about the model, and what its student will weigh. */
export function cardText(card: TeacherCard): string {
  if (card.layers === 0)
    return facts([
      ['Model', card.folder],
      ['Family', `${card.architecture}: not supported`],
    ]);
  const { student } = card;
  return `${facts([
    ['Model', card.folder],
    ['Family', card.architecture],
    [
      'Parameters',
      `${parameters(card.parameters)}, ${parameters(card.bodyParameters)} of them in the body that becomes ternary`,
    ],
    [
      'Shape',
      `${String(card.layers)} layers, hidden ${String(card.hiddenSize)}, feed-forward ${String(card.ffnSize)}, heads ${String(card.heads)}/${String(card.kvHeads)} of ${String(card.headDim)}`,
    ],
    [
      'Vocabulary',
      `${count(card.vocabularySize)}${card.tiedEmbedding ? ', embedding tied to the head' : ', separate head'}`,
    ],
    ['Context', `${count(card.contextLength)} tokens`],
    ['Weights', `${bytes(card.weightBytes)} in ${String(card.weightFiles)} file(s), ${card.weightTypes.join(', ')}`],
    [
      'Tokenizer',
      card.tokenizer === null
        ? 'none that can be used'
        : `${card.tokenizer.kind}, ${count(card.tokenizer.tokens)} tokens`,
    ],
    ['Licence', card.licence ?? 'not stated'],
    [
      'Student',
      `body ${bytes(student.bodyBytes)} (${((card.bodyParameters * 2) / student.bodyBytes).toFixed(1)}x smaller than F16), whole file about ${bytes(student.fileBytes)} with F16 embedding`,
    ],
  ])}${card.warnings.map((warning) => `Note: ${wordsOf(warning)}\n`).join('')}`;
}
