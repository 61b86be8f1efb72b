/** Language-model quality from summed negative log-likelihoods. */
import { TritsmithError } from '../contract/errors.ts';

export interface LikelihoodSum {
  /** Sum over predicted tokens of -ln p(token | before), in nats. */
  readonly nll: number;
  /** Tokens that were predicted (a sequence's first token is not). */
  readonly tokens: number;
  /** UTF-8 bytes of the predicted text, when known: the only figure that compares models with different tokenizers. */
  readonly bytes?: number;
}

export interface Perplexity {
  readonly tokens: number;
  /** Cross-entropy in nats per token. */
  readonly nllPerToken: number;
  /** exp(nats per token). */
  readonly perplexity: number;
  /** Bits per UTF-8 byte; null when a part did not give its bytes. */
  readonly bitsPerByte: number | null;
}

/** Perplexity over all `parts` together: every token counts the same, whichever part it came from. Throws `bad-input` without tokens. */
export function perplexity(parts: Iterable<LikelihoodSum>): Perplexity {
  let nll = 0;
  let tokens = 0;
  let bytes = 0;
  let bytesKnown = true;
  for (const part of parts) {
    nll += part.nll;
    tokens += part.tokens;
    if (part.bytes === undefined) bytesKnown = false;
    else bytes += part.bytes;
  }
  if (!(tokens > 0)) throw new TritsmithError('bad-input', 'scores.no-token');
  return {
    tokens,
    nllPerToken: nll / tokens,
    perplexity: Math.exp(nll / tokens),
    bitsPerByte: bytesKnown && bytes > 0 ? nll / Math.LN2 / bytes : null,
  };
}
