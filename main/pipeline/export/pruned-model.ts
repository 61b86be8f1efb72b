/** A student with a pruned vocabulary: fewer rows in embedding and head, a tokenizer to match, the same answers on the task. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExportCheck } from '../../contract/results.ts';
import { classifyRows, generateRows } from '../../evaluation/answer-classes.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import { embeddingName, ParameterBuffer, parameterSpecifications } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import type { PreparedTask } from '../task-data.ts';
import { keptTokens } from './kept-tokens.ts';
import { obsoleteTokenizerFiles, prunedTokenizerFiles, renumbering } from './pruned-tokenizer.ts';
import type { TensorSource } from './tensor-source.ts';

export interface PrunedVocabulary {
  /** Old ids that stay, ascending; their places are the new ids. */
  readonly kept: Int32Array;
  readonly configuration: ModelConfiguration;
  readonly tokenizer: Tokenizer;
  /** Folder with the renumbered tokenizer and configuration files. */
  readonly folder: string;
  renumber(ids: Int32Array): Int32Array;
}

/** Ids that the task's rows and answers hold. */
export function usedTokens(task: PreparedTask): Set<number> {
  const used = new Set<number>();
  const add = (ids: Int32Array): void => {
    for (const id of ids) used.add(id);
  };
  for (const { ids } of task.train) add(ids);
  for (const { prompt, referenceIds } of task.dev) {
    add(prompt);
    add(referenceIds);
  }
  for (const ids of task.labels?.ids ?? []) add(ids);
  return used;
}

/**
 * Prunes the tokenizer of `source` to what `task` uses and writes it to `folder`.
 * @throws TritsmithError `internal` when the pruned tokenizer would split the task's text otherwise
 */
export async function pruneVocabulary(
  source: string,
  configuration: ModelConfiguration,
  task: PreparedTask,
  folder: string,
): Promise<PrunedVocabulary> {
  const full = await loadTokenizer(source, { vocabSize: configuration.vocabSize });
  const kept = keptTokens(full, usedTokens(task));
  const to = renumbering(kept);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(source))
    if (/\.(json|jinja)$/.test(name) && !obsoleteTokenizerFiles.includes(name) && !name.endsWith('.index.json'))
      await writeFile(join(folder, name), await readFile(join(source, name)));
  for (const [name, text] of Object.entries(await prunedTokenizerFiles(source, full, kept)))
    await writeFile(join(folder, name), text);
  const tokenizer = await loadTokenizer(folder, { vocabSize: kept.length });
  const renumber = (ids: Int32Array): Int32Array =>
    ids.map((id) => {
      const found = to.get(id);
      if (found === undefined)
        throw new TritsmithError('internal', `Token ${id} was dropped although the task uses it.`);
      return found;
    });
  for (const { prompt } of task.dev) {
    const text = full.decode(prompt);
    const before = full.encode(text, { addSpecialTokens: false }).map((id) => to.get(id));
    // A row that was cut in the middle reads as another text there, which the task does not hold.
    if (before.includes(undefined)) continue;
    const after = tokenizer.encode(text, { addSpecialTokens: false });
    if (before.length !== after.length || before.some((id, at) => id !== after[at]))
      throw new TritsmithError('internal', 'The pruned tokenizer splits the text of the task otherwise.', {
        reason: `It was ${JSON.stringify(text.slice(0, 200))}.`,
        remedy: 'Export without pruning the vocabulary.',
      });
  }
  return { kept, configuration: { ...configuration, vocabSize: kept.length }, tokenizer, folder, renumber };
}

/** The tensors with only the kept rows of embedding and head. */
export function prunedTensors(source: TensorSource, kept: Int32Array, hiddenSize: number): TensorSource {
  return {
    async read(name) {
      const values = await source.read(name);
      if (name !== embeddingName && name !== 'lm_head.weight') return values;
      const rows = new Float32Array(kept.length * hiddenSize);
      kept.forEach((id, row) => {
        rows.set(values.subarray(id * hiddenSize, (id + 1) * hiddenSize), row * hiddenSize);
      });
      return rows;
    },
    close: () => source.close(),
  };
}

/** Rows that full and pruned model are both asked. */
const comparedRows = { classification: 512, generation: 16 };

async function answers(
  configuration: ModelConfiguration,
  source: TensorSource,
  task: PreparedTask,
  renumber: (ids: Int32Array) => Int32Array,
  endId: number | null,
  threads: number,
): Promise<number[][]> {
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  for (const { name } of parameters.specifications) parameters.view(name).set(await source.read(name));
  const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads });
  const rows = task.dev.slice(0, task.labels ? comparedRows.classification : comparedRows.generation);
  const prompts = rows.map(({ prompt }) => renumber(prompt));
  try {
    if (!task.labels) return await generateRows(network, head, prompts, endId, 32);
    const found = await classifyRows(network, head, prompts, task.labels.ids.map(renumber));
    return found.map(({ predicted }, index) => [predicted, Number(predicted === rows[index]!.label)]);
  } finally {
    await head.release();
    await network.release();
  }
}

/** Asks the full and the pruned student the task's held-out rows; every answer must be the same. */
export async function prunedAnswersCheck(
  configuration: ModelConfiguration,
  source: TensorSource,
  pruned: PrunedVocabulary,
  task: PreparedTask,
  fullEndId: number | null,
  threads: number,
): Promise<ExportCheck> {
  const full = await answers(configuration, source, task, (ids) => ids, fullEndId, threads);
  const tensors = prunedTensors(source, pruned.kept, configuration.hiddenSize);
  const fewer = await answers(pruned.configuration, tensors, task, pruned.renumber, pruned.tokenizer.eosId, threads);
  const expected = task.labels ? full : full.map((ids) => ids.map((id) => pruned.kept.indexOf(id)));
  const same = expected.filter((row, index) => row.join() === fewer[index]!.join()).length;
  const share = (rows: number[][]): number => rows.reduce((sum, row) => sum + row[1]!, 0) / rows.length;
  const accuracy: Record<string, number> = task.labels
    ? { accuracyBefore: share(full), accuracyAfter: share(fewer) }
    : {};
  return {
    name: 'accuracy',
    // A generated answer may have used a token that no row of the task holds; that is reported, not refused.
    passed: task.labels ? same === full.length : true,
    text:
      `With the pruned vocabulary ${same} of ${full.length} held-out rows get the same answer` +
      (task.labels
        ? `; accuracy ${(share(fewer) * 100).toFixed(1)} % (before: ${(share(full) * 100).toFixed(1)} %).`
        : '.'),
    figures: { rows: full.length, sameAnswers: same, ...accuracy },
  };
}
