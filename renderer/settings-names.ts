import { texts } from './texts.ts';

/** Name and effect of a recipe's field by its path; the three optimisers share theirs. */
export function settingWords(path: string): { name: string; effect: string } {
  const { settings } = texts.wizard.recipe;
  return settings[path] ?? settings[`*.${path.slice(path.indexOf('.') + 1)}`] ?? { name: path, effect: '' };
}

/** The name of a field with its stage where several stages have one like it. */
export function settingTitle(path: string): string {
  const { name } = settingWords(path);
  const group = path.slice(0, path.indexOf('.'));
  const stage = (texts.jobs as Record<string, string>)[group];
  return stage === undefined || name === path ? name : `${stage}: ${name}`;
}
