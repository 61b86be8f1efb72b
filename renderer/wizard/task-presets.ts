/** Known tasks: which columns they have, and the prompt that asks for them. Each can be laid over any file with enough columns. */

interface Part {
  /** How files call this column, best first. */
  readonly names: readonly string[];
  /** What stands before its text in the prompt; empty: nothing. */
  readonly caption: string;
}

export interface TaskPreset {
  readonly id: string;
  readonly kind: 'classification' | 'generation';
  readonly parts: readonly Part[];
  readonly answers: readonly string[];
  /** What the prompt ends with. */
  readonly cue: string;
  /** Where several tasks have the same columns, their classes tell them apart. */
  readonly classes?: readonly (readonly string[])[];
}

export interface Mapping {
  readonly kind: 'classification' | 'generation';
  readonly textColumns: string[];
  readonly labelColumn: string;
  readonly template: string;
}

const classColumns = ['label', 'labels', 'gold_label', 'class', 'category'];
const documents = ['document', 'text', 'article', 'source', 'dialogue', 'content', 'body'];

export const taskPresets: readonly TaskPreset[] = [
  {
    id: 'mnli',
    kind: 'classification',
    parts: [
      { names: ['premise', 'sentence1', 'text_a'], caption: 'Premise: ' },
      { names: ['hypothesis', 'sentence2', 'text_b'], caption: 'Hypothesis: ' },
    ],
    answers: classColumns,
    cue: 'Relation:',
    classes: [
      ['entailment', 'neutral', 'contradiction'],
      ['0', '1', '2'],
    ],
  },
  {
    id: 'qnli',
    kind: 'classification',
    parts: [
      { names: ['question', 'sentence1', 'text_a'], caption: 'Question: ' },
      { names: ['sentence', 'sentence2', 'text_b'], caption: 'Sentence: ' },
    ],
    answers: classColumns,
    cue: 'Does the sentence answer the question?',
    classes: [
      ['entailment', 'not_entailment'],
      ['0', '1'],
    ],
  },
  {
    id: 'sst2',
    kind: 'classification',
    parts: [{ names: ['sentence', 'text', 'review'], caption: '' }],
    answers: [...classColumns, 'sentiment'],
    cue: 'Sentiment:',
    classes: [
      ['0', '1'],
      ['negative', 'positive'],
    ],
  },
  {
    id: 'cnn',
    kind: 'generation',
    parts: [{ names: ['article'], caption: '' }],
    answers: ['highlights'],
    cue: 'Summary:',
  },
  {
    id: 'summarisation',
    kind: 'generation',
    parts: [{ names: documents, caption: '' }],
    answers: ['summary', 'target', 'abstract', 'headline', 'highlights'],
    cue: 'Summary:',
  },
  {
    id: 'questions',
    kind: 'generation',
    parts: [
      { names: ['context', 'passage', 'paragraph', 'document'], caption: '' },
      { names: ['question', 'query', 'instruction'], caption: 'Question: ' },
    ],
    answers: ['answer', 'answers', 'response', 'output', 'completion'],
    cue: 'Answer:',
  },
  {
    id: 'classification',
    kind: 'classification',
    parts: [{ names: ['text', 'sentence', 'message', 'body'], caption: '' }],
    answers: [...classColumns, 'queue', 'intent', 'topic', 'target'],
    cue: 'Label:',
  },
];

/** The presets whose columns the file has, and whose classes are the file's where the preset names them. */
export function fittingPresets(columns: readonly string[], labels: readonly string[]): TaskPreset[] {
  return taskPresets.filter(({ parts, answers, classes }) => {
    const found = parts.map(({ names }) => named(columns, names));
    if (named(columns, answers) === null || found.includes(null) || new Set(found).size < found.length) return false;
    return classes === undefined || classes.some((each) => sameSet(each, labels));
  });
}

/**
 * The preset laid over a file: columns with the expected names where there are such, else the text columns in their order; the
 * answer column stays where no name is better. Null when there are too few columns.
 */
export function applyPreset(
  preset: TaskPreset,
  columns: readonly string[],
  now: { textColumns: readonly string[]; labelColumn: string },
): Mapping | null {
  const labelColumn = named(columns, preset.answers) ?? now.labelColumn;
  const taken = new Set([labelColumn]);
  const chosen: string[] = [];
  for (const { names } of preset.parts) {
    const free = (list: readonly string[]): string[] => list.filter((column) => !taken.has(column));
    const column = named(free(columns), names) ?? free(now.textColumns)[0] ?? free(columns)[0];
    if (column === undefined) return null;
    taken.add(column);
    chosen.push(column);
  }
  const lines = chosen.map((column, index) => `${preset.parts[index]?.caption ?? ''}${placeholder(column)}`);
  return { kind: preset.kind, textColumns: chosen, labelColumn, template: `${lines.join('\n')}\n${preset.cue}` };
}

/** Jinja for a column's text; names that are no identifiers are looked up in the row. */
function placeholder(column: string): string {
  return /^[A-Za-z_]\w*$/.test(column) && column !== 'row' ? `{{ ${column} }}` : `{{ row[${JSON.stringify(column)}] }}`;
}

function named(columns: readonly string[], names: readonly string[]): string | null {
  for (const name of names) {
    const found = columns.find((column) => column.toLowerCase() === name);
    if (found !== undefined) return found;
  }
  return null;
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return b.length > 0 && b.length <= a.length && b.every((each) => a.includes(each.toLowerCase()));
}
