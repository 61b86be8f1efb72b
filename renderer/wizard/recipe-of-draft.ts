/** The recipe of a draft; the workbench makes it, as it does for the command line. */
import type { Recipe } from '../../main/contract/recipe.ts';
import { client } from '../client.ts';
import { type DraftContent, inputsOf } from './draft.ts';

/** Of the draft's own preset or of another one, with everything that the wizard knows, and the expert's changes. */
export function recipeOf(draft: DraftContent, preset = draft.preset): Promise<Recipe> {
  return client.recipes.make({ inputs: inputsOf(draft, preset) });
}
