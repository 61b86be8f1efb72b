/** What was typed into an expert setting, judged by the recipe's own schema. */
import { setField } from '../../main/contract/recipe-fields.ts';
import { type Recipe, recipeSchema } from '../../main/contract/recipe.ts';
import { texts } from '../texts.ts';
import type { ExpertSetting } from './expert-settings.ts';

export type SettingValue = string | number | boolean | null;
export type Reading = { readonly value: SettingValue } | { readonly problem: string };

/** Empty is null: the recipe's own default, where it has one. */
export function readSetting(recipe: Recipe, setting: ExpertSetting, text: string): Reading {
  const t = texts.wizard.recipe.problems;
  const typed = text.trim();
  let value: SettingValue = typed;
  if (typed === '') value = null;
  else if (setting.kind === 'switch') value = typed === 'true';
  else if (setting.kind !== 'choice' && !(setting.words ?? []).includes(typed)) {
    value = Number(typed.replace(',', '.'));
    if (!Number.isFinite(value)) return { problem: setting.words === undefined ? t.number : t.numberOr(setting.words) };
  }
  const changed = structuredClone(recipe);
  setField(changed, setting.path, value);
  const issue = recipeSchema.safeParse(changed).error?.issues.find(({ path }) => path.join('.') === setting.path);
  if (issue === undefined) return { value };
  if (value === null) return { problem: t.needed };
  if (issue.code === 'too_small')
    return { problem: issue.inclusive === false ? t.above(Number(issue.minimum)) : t.atLeast(Number(issue.minimum)) };
  if (issue.code === 'not_multiple_of') return { problem: t.multipleOf(issue.divisor) };
  if (issue.code === 'too_big') return { problem: t.atMost(Number(issue.maximum)) };
  return { problem: setting.kind === 'whole' ? t.whole : t.number };
}
