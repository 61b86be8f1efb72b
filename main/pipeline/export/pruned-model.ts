/** A student with a pruned vocabulary: fewer rows in embedding and head, a tokenizer to match, the same answers on the task. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tell } from '../../contract/messages/told.ts';
import { companionFiles } from '../../contract/companion-files.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExportCheck } from '../../contract/results.ts';
import { classifyRows, generateRows } from '../../evaluation/answer-classes.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { copyCompanion } from '../../models/companion-files.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelCompanions, modelTokenizer } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { embeddingName, ParameterBuffer, parameterSpecifications } from '../../models/parameters.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import type { PreparedTask } from '../task/task-data.ts';
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
async function usedTokens(task: PreparedTask): Promise<Set<number>> {
  const used = new Set<number>();
  const add = (ids: Int32Array): void => {
    for (const id of ids) used.add(id);
  };
  for await (const { ids } of task.train()) add(ids);
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
  const full = await modelTokenizer(source, { vocabSize: configuration.vocabSize });
  const kept = keptTokens(full, await usedTokens(task));
  const to = renumbering(kept);
  await mkdir(folder, { recursive: true });
  const companions = await modelCompanions(source);
  const renumbered = await prunedTokenizerFiles(companions, full, kept);
  for (const name of companionFiles)
    if (companions.names.has(name) && renumbered[name] === undefined && !obsoleteTokenizerFiles.includes(name))
      await copyCompanion(companions, folder, name);
  for (const [name, text] of Object.entries(renumbered)) await writeFileAtomically(join(folder, name), text);
  const tokenizer = await loadTokenizer(folder, { vocabSize: kept.length });
  const renumber = (ids: Int32Array): Int32Array =>
    ids.map((id) => {
      const found = to.get(id);
      if (found === undefined) throw new TritsmithError('internal', 'export.dropped-token', { token: id });
      return found;
    });
  for (const { prompt } of task.dev) {
    const text = full.decode(prompt);
    const before = full.encode(text, { addSpecialTokens: false }).map((id) => to.get(id));
    // A row that was cut in the middle reads as another text there, which the task does not hold.
    if (before.includes(undefined)) continue;
    const after = tokenizer.encode(text, { addSpecialTokens: false });
    if (before.length !== after.length || before.some((id, at) => id !== after[at]))
      throw new TritsmithError('internal', 'export.pruned-tokenizer', { text: JSON.stringify(text.slice(0, 200)) });
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

/** Held-out rows that a student is let write on before and after, and the tokens of each answer; classes are compared on all rows. */
const written = { rows: 16, tokens: 32 };

/** Called with how many rows are done out of how many; may throw to stop. */
export type OnRow = (done: number, total: number) => Promise<void>;

interface Asked {
  readonly configuration: ModelConfiguration;
  readonly source: TensorSource;
  readonly endId: number | null;
  /** Ids of the task in those of the model. */
  readonly renumber: (ids: Int32Array) => Int32Array;
}

/** What a model answers to the held-out rows: the class, or the tokens it writes. */
async function answers(asked: Asked, task: PreparedTask, threads: number, onRow: OnRow): Promise<number[][]> {
  const { configuration, source, endId, renumber } = asked;
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  for (const { name } of parameters.specifications) parameters.view(name).set(await source.read(name));
  const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads });
  const rows = task.labels ? task.dev : task.dev.slice(0, written.rows);
  const prompts = rows.map(({ prompt }) => renumber(prompt));
  const onRows = (done: number): Promise<void> => onRow(done, rows.length);
  try {
    if (!task.labels) return await generateRows(network, head, prompts, endId, written.tokens, onRows);
    const found = await classifyRows(network, head, prompts, task.labels.ids.map(renumber), onRows);
    return found.map(({ predicted }) => [predicted]);
  } finally {
    await head.release();
    await network.release();
  }
}

/**
 * Asks the full and the pruned student the task's held-out rows; every answer must be the same.
 * @param known classes that the full student is known to answer, one per held-out row; null: it is asked
 */
export async function prunedAnswersCheck(
  full: { readonly configuration: ModelConfiguration; readonly source: TensorSource; readonly endId: number | null },
  pruned: PrunedVocabulary,
  task: PreparedTask,
  { known = null, threads, onRow }: { known?: readonly number[] | null; threads: number; onRow?: OnRow },
): Promise<ExportCheck> {
  const passes = known === null ? 2 : 1;
  const told =
    (pass: number): OnRow =>
    (done, total) =>
      onRow?.(pass * total + done, passes * total) ?? Promise.resolve();
  const before =
    known === null
      ? await answers({ ...full, renumber: (ids) => ids }, task, threads, told(0))
      : known.map((predicted) => [predicted]);
  const { kept, configuration, renumber } = pruned;
  const source = prunedTensors(full.source, kept, configuration.hiddenSize);
  const endId = pruned.tokenizer.eosId;
  const after = await answers({ configuration, source, endId, renumber }, task, threads, told(passes - 1));
  const rows = after.length;
  const asWas = task.labels ? after : after.map((ids) => ids.map((id) => kept[id]!));
  const sameAnswers = before.filter((row, index) => row.join() === asWas[index]!.join()).length;
  const passed = sameAnswers === rows;
  if (!task.labels) {
    const figures = { rows, sameAnswers };
    return { name: 'accuracy', passed, ...tell('proof.same-texts', { ...figures, most: written.tokens }), figures };
  }
  const accuracy = (found: readonly (readonly number[])[]): number =>
    found.filter(([predicted], index) => predicted === task.dev[index]!.label).length / rows;
  const [accuracyBefore, accuracyAfter] = [accuracy(before), accuracy(after)];
  const figures = { rows, sameAnswers, accuracyBefore, accuracyAfter };
  return { name: 'accuracy', passed, ...tell('proof.same-classes', figures), figures };
}
