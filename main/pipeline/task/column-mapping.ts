/** Guesses which columns of a task file are text and which is the label, for a user who has not said so. */
import type { TaskReport } from '../../contract/queries.ts';
import type { Dataset } from '../../formats/datasets/index.ts';

export type ColumnMapping = TaskReport['mapping'];

interface ColumnFacts {
  readonly name: string;
  readonly distinct: number;
  readonly meanLength: number;
  /** Numbers, or lists of them. */
  readonly numbersOnly: boolean;
  /** One word without spaces a row, each another: an identifier, an address, a file name. */
  readonly namesRows: boolean;
}

const labelNames = ['label', 'labels', 'class', 'category', 'sentiment', 'intent', 'target', 'answer', 'summary'];
const moreLabelNames = ['output', 'response', 'completion', 'highlights', 'gold', 'y'];
const rowNumberName = /^(id|idx|index|guid|uid|row|no|nr|.*_id|url)$/i;

/** What the user gave stays; the rest comes from the names and from `sample`, the first rows of the file. Chats have their own columns. */
export function guessMapping(
  { columns, chats }: Pick<Dataset, 'columns' | 'chats'>,
  sample: readonly Readonly<Record<string, string>>[],
  given: {
    kind?: ColumnMapping['kind'] | undefined;
    textColumns?: string[] | undefined;
    labelColumn?: string | undefined;
    groupColumn?: string | undefined;
    timeColumn?: string | undefined;
  },
): ColumnMapping {
  const facts = columns
    .filter((name) => name !== given.groupColumn && name !== given.timeColumn)
    .map((name) => factsOf(name, sample));
  const made = chats?.derived === true ? [chats.promptColumn, chats.answerColumn] : [];
  const labelColumn = given.labelColumn ?? made[1] ?? guessLabel(facts, given.textColumns ?? []);
  const said = made.filter((column) => column !== labelColumn);
  const textColumns = given.textColumns ?? (said.length > 0 ? said : guessTexts(facts, labelColumn));
  const label = facts.find(({ name }) => name === labelColumn);
  const kind =
    given.kind ?? (label !== undefined && looksLikeClass(label, sample.length) ? 'classification' : 'generation');
  const guessed: ColumnMapping['guessed'] = [
    ...(given.kind === undefined ? ['kind' as const] : []),
    ...(given.textColumns === undefined ? ['textColumns' as const] : []),
    ...(given.labelColumn === undefined ? ['labelColumn' as const] : []),
  ];
  return { kind, textColumns, labelColumn, guessed };
}

function factsOf(name: string, sample: readonly Readonly<Record<string, string>>[]): ColumnFacts {
  const values = sample.map((row) => row[name] ?? '');
  return {
    name,
    distinct: new Set(values).size,
    meanLength: values.reduce((sum, value) => sum + value.length, 0) / Math.max(1, values.length),
    numbersOnly: values.every((value) =>
      /^\s*-?\d+(\.\d+)?(e[+-]?\d+)?([\s,]+-?\d+(\.\d+)?(e[+-]?\d+)?)*\s*$/i.test(value),
    ),
    namesRows:
      values.length > 20 &&
      new Set(values).size === values.length &&
      values.every((value) => value.length > 4 && !/\s/.test(value.trim())),
  };
}

function guessLabel(facts: readonly ColumnFacts[], texts: readonly string[]): string {
  const free = facts.filter(({ name }) => !texts.includes(name) && !rowNumberName.test(name));
  for (const wanted of [...labelNames, ...moreLabelNames]) {
    const found = free.find(({ name }) => name.toLowerCase() === wanted);
    if (found !== undefined) return found.name;
  }
  const fewest = free.toSorted((a, b) => a.distinct - b.distinct)[0];
  return fewest?.name ?? facts.at(-1)?.name ?? '';
}

/** Every other column with something to read in it; numbers and row names only where there is no other. */
function guessTexts(facts: readonly ColumnFacts[], labelColumn: string): string[] {
  const others = facts.filter(({ name, meanLength }) => name !== labelColumn && meanLength > 0);
  const texts = others.filter(
    ({ name, numbersOnly, namesRows }) => !numbersOnly && !namesRows && !rowNumberName.test(name),
  );
  return (texts.length > 0 ? texts : others).map(({ name }) => name);
}

function looksLikeClass(label: ColumnFacts, rows: number): boolean {
  return label.meanLength <= 60 && label.distinct <= Math.max(2, Math.min(200, rows / 2));
}
