/** One model's answer as it comes in. */
import { client, problemOf } from './client.ts';
import type { Problem } from './client.ts';
import type { ModelName } from './models.ts';

export interface Answer {
  readonly state: 'loading' | 'answering' | 'done' | 'failed' | 'cancelled';
  readonly text: string;
  readonly labels: readonly { label: string; probability: number }[];
  readonly loaded: { seconds: number; weightBytes: number; kernel: string } | null;
  readonly timing: {
    promptTokens: number;
    answerTokens: number;
    prefillSeconds: number;
    decodeSeconds: number;
    residentBytes: number;
    reason?: 'stop' | 'length' | 'context' | 'cancelled' | undefined;
  } | null;
  readonly problem: Problem | null;
}

const nothing: Answer = { state: 'loading', text: '', labels: [], loaded: null, timing: null, problem: null };

/** Asks one model and tells each change of its answer; never throws. */
export async function ask(
  request: { id: string; model: ModelName; input: Record<string, string>; maxTokens: number },
  signal: AbortSignal,
  tell: (answer: Answer) => void,
): Promise<void> {
  let answer = nothing;
  const change = (part: Partial<Answer>): void => {
    answer = { ...answer, ...part };
    tell(answer);
  };
  change({});
  try {
    for await (const message of await client.playground.answer(request, { signal })) {
      if (signal.aborted) return;
      if (message.type === 'loaded') change({ state: 'answering', loaded: message });
      else if (message.type === 'token') change({ text: answer.text + message.text });
      else if (message.type === 'labels')
        change({ labels: message.scores.toSorted((a, b) => b.probability - a.probability) });
      else if (message.type === 'answered') change({ timing: message });
    }
    if (!signal.aborted) change({ state: 'done' });
  } catch (thrown) {
    if (!signal.aborted) change({ state: 'failed', problem: problemOf(thrown) });
  }
}
