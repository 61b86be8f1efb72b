/** A task's prompt for programs that have no Jinja. */
import type { TaskSettings } from '../../contract/recipe.ts';
import { promptRenderer } from './task-rows.ts';

/** A prompt as texts and, between them, the columns (by their place) whose text is put there. */
export type PromptPieces = readonly (string | number)[];

/** Null for a template that does more than put the columns in their places: no few lines of another language do the same. */
export async function promptPieces(task: Pick<TaskSettings, 'template' | 'textColumns'>): Promise<PromptPieces | null> {
  const render = await promptRenderer(task);
  const { textColumns } = task;
  // Private characters, which no template has, around what a template could change: case, blanks, line breaks. Twice, to see that nothing depends on
  // the text.
  const split = async (mark: string): Promise<PromptPieces | null> => {
    const marked = (column: number): string => ` \uE000${mark}${column}\uE001 `;
    const text = await render(Object.fromEntries(textColumns.map((name, column) => [name, marked(column)])));
    const pieces = text.split(/ \uE000([^\uE001]*)\uE001 /);
    if (pieces.some((piece, at) => (at % 2 === 0 ? /[\uE000\uE001]/.test(piece) : !piece.startsWith(mark))))
      return null;
    return pieces.map((piece, at) => (at % 2 === 0 ? piece : Number(piece.slice(mark.length))));
  };
  const pieces = await split('x');
  const again = await split('Some words,  more\nand ');
  if (pieces === null || JSON.stringify(pieces) !== JSON.stringify(again)) return null;
  const columns = new Set(pieces.filter((piece) => typeof piece === 'number'));
  return columns.size === textColumns.length ? pieces : null;
}
