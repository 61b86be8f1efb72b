/**
 * A corpus as one file of token ids in the experiment's cache: tokenised once, only as far as the stage needs it, read back at
 * any position. Ids take two bytes where the vocabulary allows it.
 */
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { readCorpus } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { packMicroBatch, type BatchSource, type Example } from '../../training/batches.ts';
import { Random } from '../../basics/random.ts';

const cacheInfo = z.object({
  key: z.string(),
  tokens: z.int(),
  bytesPerToken: z.union([z.literal(2), z.literal(4)]),
  skipped: z.int().default(0),
});

export interface TokenFile {
  readonly path: string;
  /** Digest of what it was made from. */
  readonly key: string;
  readonly tokens: number;
  readonly bytesPerToken: 2 | 4;
  /** Rows of JSONL files that hold no text and were left out. */
  readonly skipped: number;
}

/**
 * Tokenises a corpus up to `wanted` tokens into `path`, documents separated by the end-of-text token. An earlier file with the
 * same `key` is used again.
 * @param onProgress called now and then with the tokens so far; may throw to stop
 * @throws TritsmithError `bad-input` when the corpus holds less than one sequence
 */
export async function tokeniseCorpus(
  corpus: string,
  tokenizer: Tokenizer,
  path: string,
  wanted: number,
  key: string,
  onProgress: (tokens: number) => Promise<void>,
): Promise<TokenFile> {
  try {
    const info = cacheInfo.parse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
    if (info.key === key) return { path, ...info };
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code !== 'ENOENT' &&
      !(error instanceof SyntaxError) &&
      !(error instanceof z.ZodError)
    )
      throw error;
  }
  await mkdir(dirname(path), { recursive: true });
  const bytesPerToken = tokenizer.vocabSize <= 65_536 ? 2 : 4;
  // What an earlier key described is about to be gone.
  await rm(`${path}.json`, { force: true });
  let tokens = 0;
  let skipped = 0;
  const onSkipped = (): void => {
    skipped += 1;
  };
  await writeFileAtomically(path, async (file) => {
    for await (const { text } of readCorpus(corpus, undefined, onSkipped)) {
      const ids = tokenizer.encode(text);
      if (tokenizer.eosId !== null && ids.at(-1) !== tokenizer.eosId) ids.push(tokenizer.eosId);
      const kept = ids.slice(0, wanted - tokens);
      tokens += kept.length;
      await file.write(bytesPerToken === 2 ? Uint16Array.from(kept) : Uint32Array.from(kept));
      await onProgress(tokens);
      if (tokens >= wanted) break;
    }
    if (tokens < 2)
      throw new TritsmithError('bad-input', `The corpus ${corpus} holds no text.`, {
        remedy: 'Choose a text or JSONL file, or a folder of them.',
      });
  });
  await writeFileAtomically(
    `${path}.json`,
    JSON.stringify({ key, tokens, bytesPerToken, skipped } satisfies z.infer<typeof cacheInfo>),
  );
  return { path, key, tokens, bytesPerToken, skipped };
}

/** Steps over packed sequences of `sequenceLength` tokens; each epoch shuffles the sequences anew. */
export async function corpusBatches(
  file: TokenFile,
  settings: { sequenceLength: number; batchSize: number; microBatchTokens: number; seed: number },
): Promise<BatchSource & { close(): Promise<void> }> {
  const length = Math.min(settings.sequenceLength, file.tokens);
  const sequences = Math.max(1, Math.floor(file.tokens / length));
  const stepsPerEpoch = Math.ceil(sequences / settings.batchSize);
  const handle = await open(file.path, 'r');
  let cached: { epoch: number; order: Int32Array } | null = null;
  const readSequence = async (index: number): Promise<Example> => {
    const bytes = new Uint8Array(length * file.bytesPerToken);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, index * bytes.length);
    if (bytesRead !== bytes.length)
      throw new TritsmithError('damaged', 'The cached corpus is shorter than it should be.', {
        remedy: 'Delete the cache folder of this experiment and resume.',
      });
    const ids = file.bytesPerToken === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
    return { ids: Int32Array.from(ids), responseStart: 1 };
  };
  return {
    stepsPerEpoch,
    fingerprint: `${file.key}:${file.tokens}`,
    at: async (step) => {
      const epoch = Math.floor((step - 1) / stepsPerEpoch);
      if (cached?.epoch !== epoch) {
        const random = new Random((settings.seed ^ Math.imul(epoch + 1, 0x85ebca6b)) >>> 0);
        cached = { epoch, order: random.shuffle(Int32Array.from({ length: sequences }, (_, index) => index)) };
      }
      const start = ((step - 1) % stepsPerEpoch) * settings.batchSize;
      const chosen = cached.order.subarray(start, start + settings.batchSize);
      const rows: Example[] = [];
      for (const index of chosen) rows.push(await readSequence(index));
      const perMicro = Math.max(1, Math.floor(settings.microBatchTokens / length));
      const result = [];
      for (let at = 0; at < rows.length; at += perMicro) result.push(packMicroBatch(rows.slice(at, at + perMicro)));
      return result;
    },
    close: () => handle.close(),
  };
}
