/** Perplexity on running text: what a model still knows of language in general. */
import { readFileSync } from 'node:fs';
import type { Tokenizer } from '../../main/formats/tokenizers/index.ts';
import { onGraphEngine } from '../../main/pipeline/evaluate/evaluate.ts';
import { packMicroBatch } from '../../main/training/batches.ts';

/** Tokens of a window; every one but the first is predicted from those before it. */
export const windowTokens = 512;

/** The first `tokens` tokens of a text in windows that do not overlap, each behind the token that begins a text where the tokenizer puts one. */
export function textWindows(path: string, tokenizer: Tokenizer, tokens: number): Int32Array[] {
  const text = readFileSync(path, 'utf8');
  // Ten characters to a token are more than any text of words has.
  const ids = tokenizer.encode(text.slice(0, tokens * 10), { addSpecialTokens: false });
  const beginning = tokenizer.encode('', { addSpecialTokens: true }).slice(0, 1);
  const own = windowTokens - beginning.length;
  return Array.from({ length: Math.floor(Math.min(tokens, ids.length) / own) }, (_, index) =>
    Int32Array.from([...beginning, ...ids.slice(index * own, (index + 1) * own)]),
  );
}

/** exp of the mean cross-entropy of all predicted tokens of the windows. @param folder of the model */
export async function perplexity(folder: string, windows: readonly Int32Array[], threads: number): Promise<number> {
  return onGraphEngine(folder, threads, async (network, head) => {
    let nll = 0;
    let predicted = 0;
    for (const ids of windows) {
      const window = packMicroBatch([{ ids, responseStart: 1 }]);
      const { hidden } = await network.forward(window);
      for (const score of await head.logProbabilities(hidden, window.targetPositions, window.targets, 1)) nll -= score;
      predicted += window.targets.length;
    }
    return Math.exp(nll / predicted);
  });
}
