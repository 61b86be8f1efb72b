/** A corpus as tokens in the experiment's cache: tokenised once, only as far as the stage needs it. */
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { tellError } from '../../contract/messages/told.ts';
import { readCorpus } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { packMicroBatch, type BatchSource, type Example } from '../../training/batches.ts';
import { rowsOfShard } from '../../training/shards.ts';
import { Random } from '../../basics/random.ts';
import { cachedTokens, type TokenFile } from '../task/token-file.ts';

const aboutCorpus = z.object({
  /** Rows of JSONL files that hold no text and were left out. */
  skipped: z.int(),
  /** Files of a folder that could not be read, with the reason: how many, and the first few. */
  leftOut: z.object({ files: z.int(), reasons: z.array(z.string()) }).default({ files: 0, reasons: [] }),
});

const shownReasons = 5;

export type CorpusTokens = TokenFile<z.infer<typeof aboutCorpus>>;

/**
 * Tokenises a corpus up to `wanted` tokens into `path`, documents separated by the end-of-text token. An earlier file with the
 * same `key` is used again. To be closed; the batches made of it do so.
 * @param onProgress called now and then with the tokens so far; may throw to stop
 * @throws TritsmithError `bad-input` when the corpus holds less than one sequence
 */
export function tokeniseCorpus(
  corpus: string,
  tokenizer: Tokenizer,
  path: string,
  wanted: number,
  key: string,
  onProgress: (tokens: number) => Promise<void>,
): Promise<CorpusTokens> {
  return cachedTokens({
    path,
    key,
    about: aboutCorpus,
    vocabSize: tokenizer.vocabSize,
    rows: 0,
    write: async (writer) => {
      let skipped = 0;
      const leftOut = { files: 0, reasons: [] as string[] };
      const onSkipped = (): void => {
        skipped += 1;
      };
      const onLeftOut = (_: string, why: TritsmithError): void => {
        if (leftOut.files++ < shownReasons) leftOut.reasons.push(tellError(why).text);
      };
      for await (const { text } of readCorpus(corpus, { onSkipped, onLeftOut })) {
        const ids = tokenizer.encode(text);
        if (tokenizer.eosId !== null && ids.at(-1) !== tokenizer.eosId) ids.push(tokenizer.eosId);
        await writer.append(ids.slice(0, wanted - writer.tokens));
        await onProgress(writer.tokens);
        if (writer.tokens >= wanted) break;
      }
      if (writer.tokens < 2) throw new TritsmithError('bad-input', 'corpus.no-text', { corpus });
      return { skipped, leftOut };
    },
  });
}

/** What a person should know of what was not read of a corpus, for the log. */
export function corpusNotes({ about: { skipped, leftOut } }: CorpusTokens): string[] {
  return [
    ...(skipped > 0 ? [`${skipped} rows of the corpus hold no text and are left out.`] : []),
    ...(leftOut.files > 0 ? [`${leftOut.files} files of the corpus could not be read:`, ...leftOut.reasons] : []),
  ];
}

/** Steps over packed sequences of `sequenceLength` tokens; each epoch shuffles the sequences anew. */
export function corpusBatches(
  file: CorpusTokens,
  settings: { sequenceLength: number; batchSize: number; microBatchTokens: number; seed: number },
): BatchSource & { close(): Promise<void> } {
  const length = Math.min(settings.sequenceLength, file.tokens);
  const sequences = Math.max(1, Math.floor(file.tokens / length));
  const stepsPerEpoch = Math.ceil(sequences / settings.batchSize);
  let cached: { epoch: number; order: Int32Array } | null = null;
  const readSequence = async (index: number): Promise<Example> => ({
    ids: await file.read(index * length, length),
    responseStart: 1,
  });
  return {
    stepsPerEpoch,
    fingerprint: `${file.key}:${file.tokens}`,
    at: async (step, shard) => {
      const epoch = Math.floor((step - 1) / stepsPerEpoch);
      if (cached?.epoch !== epoch) {
        const random = new Random((settings.seed ^ Math.imul(epoch + 1, 0x85ebca6b)) >>> 0);
        cached = { epoch, order: random.shuffle(Int32Array.from({ length: sequences }, (_, index) => index)) };
      }
      const start = ((step - 1) % stepsPerEpoch) * settings.batchSize;
      const chosen = rowsOfShard(cached.order.subarray(start, start + settings.batchSize), shard);
      const rows: Example[] = [];
      for (const index of chosen) rows.push(await readSequence(index));
      const perMicro = Math.max(1, Math.floor(settings.microBatchTokens / length));
      const result = [];
      for (let at = 0; at < rows.length; at += perMicro) result.push(packMicroBatch(rows.slice(at, at + perMicro)));
      return result;
    },
    close: () => file.close(),
  };
}
