/** Where two models of an experiment answer differently, with the texts, and which class each takes for which. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { experimentRecord } from '../contract/experiments.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { DifferencesAnswer, DifferencesRequest } from '../contract/result-queries.ts';
import { confusion } from '../evaluation/confusion.ts';
import { readFolderConfiguration } from '../models/model-folder.ts';
import { evaluatedModels, readEvaluation } from './evaluate.ts';
import { recipeTokenizer } from './models-of-recipe.ts';
import { prepareTask } from './task-data.ts';

/** @throws TritsmithError `not-found` before the evaluation has been written, `damaged` when it belongs to other rows */
export async function differingRows({ folder, first, second, limit }: DifferencesRequest): Promise<DifferencesAnswer> {
  const { recipe } = experimentRecord.parse(JSON.parse(await readFile(join(folder, 'experiment.json'), 'utf8')));
  const tokenizer = await recipeTokenizer(recipe, await readFolderConfiguration(recipe.teacher));
  const { dev, labels } = await prepareTask(recipe.task, tokenizer, recipe.seed);
  if (labels === null)
    return {
      labels: [],
      confusion: [],
      rows: dev.length,
      differing: 0,
      onlyFirstRight: 0,
      onlySecondRight: 0,
      examples: [],
    };
  const gold = dev.map(({ label }) => label);
  const predictions = new Map<string, readonly number[]>();
  const matrices: DifferencesAnswer['confusion'] = [];
  for (const { name } of evaluatedModels(folder, recipe)) {
    const evaluation = await readEvaluation(folder, name);
    if (evaluation === null) continue;
    if (evaluation.predictions.length !== dev.length)
      throw new TritsmithError('damaged', 'The answers that were kept belong to other rows.', {
        reason: `${evaluation.predictions.length} answers, ${dev.length} rows`,
        remedy: 'The data file has changed since. Evaluate the experiment again.',
      });
    predictions.set(name, evaluation.predictions);
    const words = (indices: readonly number[]): string[] => indices.map((index) => labels.classes[index] ?? '');
    const { counts, macroF1 } = confusion(labels.classes, words(gold), words(evaluation.predictions));
    matrices.push({ model: name, counts: counts.map((row) => [...row]), macroF1 });
  }
  const a = predictions.get(first);
  const b = predictions.get(second);
  if (a === undefined || b === undefined)
    throw new TritsmithError('not-found', 'These models have not been evaluated yet.', {
      remedy: 'Wait for the stage "evaluate".',
    });
  const differing = gold.map((_, row) => row).filter((row) => a[row] !== b[row]);
  const right = (who: readonly number[]) => (row: number) => who[row] === gold[row];
  // What the second got wrong and the first right is what a person looks for; then the reverse, then both wrong.
  const rank = (row: number): number => (right(a)(row) ? 0 : right(b)(row) ? 1 : 2);
  const word = (index: number | undefined): string => labels.classes[index ?? -1] ?? 'none';
  return {
    labels: [...labels.classes],
    confusion: matrices,
    rows: dev.length,
    differing: differing.length,
    onlyFirstRight: differing.filter(right(a)).length,
    onlySecondRight: differing.filter(right(b)).length,
    examples: differing
      .toSorted((x, y) => rank(x) - rank(y) || x - y)
      .slice(0, limit)
      .map((row) => ({
        row: row + 1,
        prompt: tokenizer.decode(dev[row]!.prompt, { skipSpecialTokens: true }).trim(),
        gold: word(gold[row]),
        first: word(a[row]),
        second: word(b[row]),
      })),
  };
}
