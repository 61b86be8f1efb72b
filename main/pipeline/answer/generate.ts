/** Free text after a prompt, from one exported model: streamed, with sampling, stop strings and a way to cancel between tokens. */
import { type GenerationOptions, loadModel, type StudentModel } from '../../../native/runtime.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { GenerateRequest, RuntimeMessage } from '../../contract/helper-protocol.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { politeThreads } from './polite-threads.ts';
import { runtimeTokenizer } from './runtime-tokenizer.ts';
import { StreamedText } from './streamed-text.ts';

type Say = (message: RuntimeMessage) => void;

/** Says `loaded`, `token` by `token`, then `answered`. @throws TritsmithError, StudentError */
export async function generateText(request: GenerateRequest, say: Say, signal: AbortSignal): Promise<void> {
  const { path, prompt, threads = politeThreads(), stop, ...rest } = request;
  const model = loadModel(path, { threads });
  try {
    const { loadSeconds, weightBytes, kernel, vocabularySize } = model.info;
    const tokenizer = await runtimeTokenizer(request.tokenizer, vocabularySize);
    say({ type: 'loaded', seconds: loadSeconds, weightBytes, kernel });
    const ids = Int32Array.from(tokenizer.encode(prompt));
    if (ids.length === 0) throw new TritsmithError('bad-input', 'prompt.empty');
    const { maxTokens, temperature, topK, topP, repetitionPenalty, seed } = rest;
    const options = { maxTokens, temperature, topK, topP, repetitionPenalty, seed, signal };
    await streamAnswer(model, tokenizer, ids, options, new StreamedText(tokenizer, stop, ids), say);
  } finally {
    model.close();
  }
}

/** Generates after `ids` until the tokenizer's end token, one of `options.stopTokens`, a stop string or one of the limits in `options`. */
export async function streamAnswer(
  model: StudentModel,
  tokenizer: Tokenizer,
  ids: Int32Array,
  options: GenerationOptions,
  text: StreamedText,
  say: Say,
): Promise<void> {
  const tell = (piece: string): void => {
    if (piece !== '') say({ type: 'token', text: piece });
  };
  const stopTokens = [...(options.stopTokens ?? []), ...(tokenizer.eosId === null ? [] : [tokenizer.eosId])];
  const { tokens, reason, prefillSeconds, decodeSeconds } = await model.generate(
    ids,
    { ...options, stopTokens },
    (token) => {
      tell(text.push(token));
      return text.stopped ? false : undefined;
    },
  );
  tell(text.end());
  say({
    type: 'answered',
    promptTokens: ids.length,
    answerTokens: tokens.length,
    prefillSeconds,
    decodeSeconds,
    residentBytes: model.residentBytes,
    reason,
  });
}
