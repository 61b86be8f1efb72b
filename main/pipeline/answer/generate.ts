/** Free text after a prompt, from one exported model: streamed, with sampling, stop strings and a way to cancel between tokens. */
import { type Generation, type GenerationOptions, loadModel, type StudentModel } from '../../../native/runtime.ts';
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
    const found = await streamAnswer(model, tokenizer, ids, options, new StreamedText(tokenizer, stop, ids), (text) => {
      say({ type: 'token', text });
    });
    say(answered(found, model.residentBytes));
  } finally {
    model.close();
  }
}

/**
 * Generates after `ids` until the tokenizer's end token, one of `options.stopTokens`, a stop string or one of the limits in `options`, and tells the text piece
 * by piece. The model generates in its own conversation, or in one beside others (`Batch`).
 */
export async function streamAnswer(
  model: Pick<StudentModel, 'generate'>,
  tokenizer: Tokenizer,
  ids: Int32Array,
  options: GenerationOptions,
  text: StreamedText,
  tell: (piece: string) => void,
): Promise<Generation> {
  const tellSome = (piece: string): void => {
    if (piece !== '') tell(piece);
  };
  const stopTokens = [...(options.stopTokens ?? []), ...(tokenizer.eosId === null ? [] : [tokenizer.eosId])];
  const generation = await model.generate(ids, { ...options, stopTokens }, (token) => {
    tellSome(text.push(token));
    return text.stopped ? false : undefined;
  });
  tellSome(text.end());
  return generation;
}

/** What a helper says after an answer. */
export function answered(
  { promptTokens, tokens, reason, prefillSeconds, decodeSeconds }: Generation,
  residentBytes: number,
): RuntimeMessage {
  const answerTokens = tokens.length;
  return { type: 'answered', promptTokens, answerTokens, prefillSeconds, decodeSeconds, residentBytes, reason };
}
