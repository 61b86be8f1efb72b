/** Rows of a classification task through an exported model, prepared and scored as the evaluation does it. */
import { loadModel } from '../../../native/runtime.ts';
import type { ClassifyRequest, LabelScore, RuntimeMessage } from '../../contract/helper-protocol.ts';
import { openInLlamaCpp, requireLlamaCpp } from '../../llama-cpp/index.ts';
import { isNameByPlace, openDataset } from '../../formats/datasets/index.ts';
import { ggufFacts } from '../inspect/gguf-facts.ts';
import { scoreLabels, scoreLabelsInLlamaCpp } from '../task/label-scores.ts';
import { type LabelWords, longestAnswer } from '../task/label-words.ts';
import { politeThreads } from './polite-threads.ts';
import { runtimeTokenizer } from './runtime-tokenizer.ts';
import { promptTokens, readLabelWords } from '../task/task-data.ts';
import { hasText, promptRenderer, requireColumns } from '../task/task-rows.ts';

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

async function openScorer({ path, task, engine, threads = politeThreads() }: ClassifyRequest): Promise<Scorer> {
  if (engine === 'llama.cpp') {
    const component = requireLlamaCpp();
    const { fileBytes, vocabularySize, contextLength } = await ggufFacts(path);
    const context = Math.min(contextLength, task.maxLength + 1);
    const model = await openInLlamaCpp(component, path, { threads, contextLength: context, kvType: 'f32' });
    return {
      loaded: { type: 'loaded', seconds: model.loadSeconds, weightBytes: fileBytes, kernel: 'llama.cpp' },
      vocabularySize,
      contextLength,
      score: (prompt, labels) => scoreLabelsInLlamaCpp(model, prompt, labels),
      close: () => model.close(),
    };
  }
  const model = loadModel(path, { threads, kvType: 'f32' });
  const { loadSeconds, weightBytes, kernel, vocabularySize, contextLength } = model.info;
  return {
    loaded: { type: 'loaded', seconds: loadSeconds, weightBytes, kernel },
    vocabularySize,
    contextLength,
    score: (prompt, labels) => Promise.resolve(scoreLabels(model, prompt, labels)),
    close: () => {
      model.close();
      return Promise.resolve();
    },
  };
}

/**
 * Says `loaded`, then `classified` for each row. Keys and values stay in float32, as in training. Rows without any text are left out,
 * as in the evaluation; rows count from 1.
 * @throws TritsmithError `bad-input` for a task without labels, a file without the task's text columns; StudentError; with llama.cpp also `not-found`
 * where it is not installed
 */
export async function classifyTexts(
  request: ClassifyRequest,
  say: (message: RuntimeMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const { task } = request;
  const model = await openScorer(request);
  try {
    const { vocabularySize, contextLength } = model;
    const tokenizer = await runtimeTokenizer(request.tokenizer, vocabularySize);
    const labels = await readLabelWords(task, tokenizer, request.seed, request.experiment);
    const render = await promptRenderer(task);
    const reserved = longestAnswer(labels, task.maxNewTokens);
    const longest = Math.min(task.maxLength, contextLength);
    say(model.loaded);
    let row = 0;
    for await (const { values, expected } of inputs(request)) {
      row += 1;
      if (!hasText(values, task.textColumns)) continue;
      const ids = promptTokens(tokenizer, await render(values), longest, reserved);
      say({ type: 'classified', row, expected, scores: [...(await model.score(ids, labels))] });
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) return;
    }
  } finally {
    await model.close();
  }
}

async function* inputs({ source, task }: ClassifyRequest): AsyncGenerator<ClassifiedInput, void> {
  if ('input' in source) {
    yield { values: source.input, expected: null };
    return;
  }
  // Columns that were named by their place came from a file without a header.
  const header = task.textColumns.every(isNameByPlace) ? ({ header: 'none' } as const) : {};
  const dataset = await openDataset(source.file, header);
  requireColumns(dataset, task.textColumns, 'as-in-training');
  for await (const { values } of dataset.rows()) {
    const expected = (values[task.labelColumn] ?? '').trim();
    yield { values, expected: expected === '' ? null : expected };
  }
}
