/** Rows of a classification task through an exported model, prepared and scored as the evaluation does it. */
import { loadModel } from '../../../native/runtime.ts';
import type { ClassifyRequest, LabelScore, RuntimeMessage } from '../../contract/helper-protocol.ts';
import { openInLlamaCpp, requireLlamaCpp } from '../../llama-cpp/index.ts';
import { assertWritable, type Cell, type Dataset, openDataset, writeRows } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { ggufFacts } from '../inspect/gguf-facts.ts';
import { scoreLabels, scoreLabelsInLlamaCpp } from '../task/label-scores.ts';
import { type LabelWords, longestAnswer } from '../task/label-words.ts';
import { politeThreads } from './polite-threads.ts';
import { runtimeTokenizer } from './runtime-tokenizer.ts';
import { promptTokens, readLabels, type TaskLabels } from '../task/task-data.ts';
import { hasText, promptRenderer, readingOfLater, requireColumns } from '../task/task-rows.ts';

interface ClassifiedInput {
  readonly values: Readonly<Record<string, string>>;
  readonly expected: string | null;
}

/** The model behind the scores, in our runtime or in llama.cpp. */
interface Scorer {
  readonly loaded: Extract<RuntimeMessage, { type: 'loaded' }>;
  readonly vocabularySize: number;
  readonly contextLength: number;
  score(prompt: Int32Array, labels: LabelWords): Promise<readonly LabelScore[]>;
  close(): Promise<void>;
}

async function openScorer({
  path,
  task,
  engine,
  temperature,
  threads = politeThreads(),
}: ClassifyRequest): Promise<Scorer> {
  if (engine === 'llama.cpp') {
    const component = requireLlamaCpp();
    const { fileBytes, vocabularySize, contextLength } = await ggufFacts(path);
    const context = Math.min(contextLength, task.maxLength + 1);
    const model = await openInLlamaCpp(component, path, { threads, contextLength: context, kvType: 'f32' });
    return {
      loaded: { type: 'loaded', seconds: model.loadSeconds, weightBytes: fileBytes, kernel: 'llama.cpp' },
      vocabularySize,
      contextLength,
      score: (prompt, labels) => scoreLabelsInLlamaCpp(model, prompt, labels, temperature),
      close: () => model.close(),
    };
  }
  const model = loadModel(path, { threads, kvType: 'f32' });
  const { loadSeconds, weightBytes, kernel, vocabularySize, contextLength } = model.info;
  return {
    loaded: { type: 'loaded', seconds: loadSeconds, weightBytes, kernel },
    vocabularySize,
    contextLength,
    score: (prompt, labels) => Promise.resolve(scoreLabels(model, prompt, labels, temperature)),
    close: () => {
      model.close();
      return Promise.resolve();
    },
  };
}

/** A model and the rows that it is asked about. */
export interface Classifier {
  readonly loaded: Scorer['loaded'];
  readonly classes: readonly string[];
  /** Of the rows. */
  readonly columns: readonly string[];
  /** Each row with its scores; ends early when `signal` says so. */
  rows(signal: AbortSignal): AsyncGenerator<ClassifiedRow, void>;
  close(): Promise<void>;
}

/**
 * Keys and values stay in float32, as in training. Rows without any text have no scores, as in the evaluation; rows count from 1.
 * @throws TritsmithError `bad-input` for a task without labels, a file without the task's text columns; StudentError;
 * with llama.cpp also `not-found` where it is not installed
 */
export async function openClassifier(request: ClassifyRequest): Promise<Classifier> {
  const model = await openScorer(request);
  try {
    const tokenizer = await runtimeTokenizer(request.tokenizer, model.vocabularySize);
    const { labels, classOf } = await readLabels(request.task, tokenizer, request.seed, request.experiment);
    const { columns, rows } = await inputs(request, classOf);
    return {
      loaded: model.loaded,
      classes: labels.classes,
      columns,
      rows: (signal) => classifyRows(request, model, tokenizer, labels, rows, signal),
      close: () => model.close(),
    };
  } catch (thrown) {
    await model.close();
    throw thrown;
  }
}

/**
 * Says `loaded`, then `classified` for each row with a text. With `output`, all rows are written to a file too; it is there whole, or not at all.
 * @throws TritsmithError as `openClassifier`, `bad-input` for an output that cannot be written
 */
export async function classifyTexts(
  request: ClassifyRequest,
  say: (message: RuntimeMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const { output } = request;
  if (output !== undefined) assertWritable(output.path);
  const classifier = await openClassifier(request);
  try {
    say(classifier.loaded);
    const classified = told(classifier.rows(signal), say);
    if (output === undefined) {
      // What there is to say is said on the way.
      while ((await classified.next()).done !== true);
    } else
      try {
        const table = labelledTable(classifier.columns, classifier.classes, output.unsureBelow);
        await writeRows(output.path, table.columns, table.rows(classified, signal));
      } catch (thrown) {
        // Half a table is none.
        if (!(thrown instanceof Cancelled)) throw thrown;
      }
  } finally {
    await classifier.close();
  }
}

async function* told(
  rows: AsyncIterable<ClassifiedRow>,
  say: (message: RuntimeMessage) => void,
): AsyncGenerator<ClassifiedRow, void> {
  for await (const each of rows) {
    const { row, expected, scores } = each;
    if (scores !== null) say({ type: 'classified', row, expected, scores: [...scores] });
    yield each;
  }
}

export interface ClassifiedRow {
  /** From 1. */
  readonly row: number;
  readonly values: ClassifiedInput['values'];
  /** Class that the file itself gives; one that the model does not know as it stands there. Null: none. */
  readonly expected: string | null;
  /** Null for a row without text. */
  readonly scores: readonly LabelScore[] | null;
}

async function* classifyRows(
  { task }: ClassifyRequest,
  model: Scorer,
  tokenizer: Tokenizer,
  labels: LabelWords,
  rows: AsyncIterable<ClassifiedInput>,
  signal: AbortSignal,
): AsyncGenerator<ClassifiedRow, void> {
  const render = await promptRenderer(task);
  const reserved = longestAnswer(labels, task.maxNewTokens);
  const longest = Math.min(task.maxLength, model.contextLength);
  let row = 0;
  for await (const { values, expected } of rows) {
    row += 1;
    if (!hasText(values, task.textColumns)) {
      yield { row, values, expected, scores: null };
      continue;
    }
    const ids = promptTokens(tokenizer, await render(values), longest, reserved);
    const scores = await model.score(ids, labels);
    yield { row, values, expected, scores };
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) return;
  }
}

class Cancelled extends Error {}

/** The rows as they came, then the likeliest label, its score, whether it is unsure, and the score of each label. */
function labelledTable(columns: readonly string[], classes: readonly string[], unsureBelow: number | null) {
  const own = [
    'predicted',
    'score',
    ...(unsureBelow === null ? [] : ['unsure']),
    ...classes.map((label) => `p(${label})`),
  ];
  // A file that was labelled before has columns of these names.
  const free = own.map((name) => {
    let found = name;
    for (let next = 2; columns.includes(found); next += 1) found = `${name} ${String(next)}`;
    return found;
  });
  const answer = (scores: readonly LabelScore[]): Cell[] => {
    const best = scores.reduce((a, b) => (b.logProbability > a.logProbability ? b : a));
    return [
      best.label,
      best.probability,
      ...(unsureBelow === null ? [] : [best.probability < unsureBelow]),
      ...scores.map(({ probability }) => probability),
    ];
  };
  return {
    columns: [...columns, ...free],
    async *rows(classified: AsyncIterable<ClassifiedRow>, signal: AbortSignal): AsyncGenerator<Cell[], void> {
      for await (const { values, scores } of classified)
        yield [
          ...columns.map((name) => values[name] ?? ''),
          ...(scores === null ? own.map(() => null) : answer(scores)),
        ];
      if (signal.aborted) throw new Cancelled();
    },
  };
}

type ClassOf = TaskLabels['classOf'];

interface Inputs {
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<ClassifiedInput>;
}

async function inputs({ source, task }: ClassifyRequest, classOf: ClassOf): Promise<Inputs> {
  if ('input' in source) return { columns: task.textColumns, rows: one(source.input) };
  const dataset = await openDataset(source.file, readingOfLater(task, source.reading));
  requireColumns(dataset, task.textColumns, 'as-in-training');
  return { columns: dataset.columns, rows: all(dataset, task.labelColumn, classOf) };
}

async function* one(values: ClassifiedInput['values']): AsyncGenerator<ClassifiedInput, void> {
  yield await Promise.resolve({ values, expected: null });
}

async function* all(dataset: Dataset, labelColumn: string, classOf: ClassOf): AsyncGenerator<ClassifiedInput, void> {
  for await (const { values } of dataset.rows()) {
    const expected = (values[labelColumn] ?? '').trim();
    yield { values, expected: expected === '' ? null : classOf(expected) };
  }
}
