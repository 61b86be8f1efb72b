/** Answers of models as they come in. */
import { client, type Problem, problemOf } from '../client.ts';
import type { TrainedModel } from '../../main/contract/model-names.ts';

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
  /** Another model answered at the same time, so this one had a share of the processor only. */
  readonly shared: boolean;
}

export interface Question {
  readonly id: string;
  readonly input: Record<string, string>;
  readonly maxTokens: number;
}

const nothing: Omit<Answer, 'shared'> = {
  state: 'loading',
  text: '',
  labels: [],
  loaded: null,
  timing: null,
  problem: null,
};

/**
 * Asks `models` and tells each change of an answer: all at the same time, or (`together` false) one after the other, so that the time
 * of each is its own. Never throws.
 */
export async function askAll(
  models: readonly TrainedModel[],
  question: Question,
  together: boolean,
  signal: AbortSignal,
  tell: (model: TrainedModel, answer: Answer) => void,
): Promise<void> {
  const answering = together ? models.length : 1;
  const one = (model: TrainedModel): Promise<void> =>
    ask({ ...question, model, answering }, signal, (answer) => {
      tell(model, answer);
    });
  if (together) await Promise.all(models.map(one));
  else for (const model of models) if (!signal.aborted) await one(model);
}

async function ask(
  request: Question & { readonly model: TrainedModel; readonly answering: number },
  signal: AbortSignal,
  tell: (answer: Answer) => void,
): Promise<void> {
  let answer: Answer = { ...nothing, shared: request.answering > 1 };
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
