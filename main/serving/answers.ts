/** The answers of the OpenAI interface: whole, and as pieces of a stream. */
import type { LabelScore } from '../contract/helper-protocol.ts';
import type { Scored, Written } from '../contract/serving-protocol.ts';

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export function usageOf({ promptTokens, answerTokens }: Written): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: answerTokens,
    total_tokens: promptTokens + answerTokens,
  };
}

/** What a piece of a stream brings: the beginning of a turn, text, the end with its reason, or the tokens that were used. */
export interface Piece {
  readonly first?: boolean;
  readonly text?: string;
  readonly finish?: 'stop' | 'length';
  readonly usage?: Usage;
}

/** One of the two ways of writing. */
export interface AnswerShape {
  whole(text: string, finish: 'stop' | 'length', usage: Usage): object;
  piece(piece: Piece): object;
}

/** What stands in every answer: one id and one time for all pieces of a stream. */
export interface Heading {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

export function chatShape(heading: Heading): AnswerShape {
  return {
    whole: (text, finish_reason, usage) => ({
      ...heading,
      object: 'chat.completion',
      choices: [
        { index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason },
      ],
      usage,
    }),
    piece: ({ first, text, finish, usage }) => ({
      ...heading,
      object: 'chat.completion.chunk',
      choices:
        usage !== undefined
          ? []
          : [
              {
                index: 0,
                delta: {
                  ...(first === true ? { role: 'assistant', content: '' } : {}),
                  ...(text === undefined ? {} : { content: text }),
                },
                logprobs: null,
                finish_reason: finish ?? null,
              },
            ],
      ...(usage === undefined ? {} : { usage }),
    }),
  };
}

export function completionShape(heading: Heading): AnswerShape {
  const object = 'text_completion';
  return {
    whole: (text, finish_reason, usage) => ({
      ...heading,
      object,
      choices: [{ index: 0, text, logprobs: null, finish_reason }],
      usage,
    }),
    piece: ({ text, finish, usage }) => ({
      ...heading,
      object,
      choices:
        usage !== undefined ? [] : [{ index: 0, text: text ?? '', logprobs: null, finish_reason: finish ?? null }],
      ...(usage === undefined ? {} : { usage }),
    }),
  };
}

/** The labels of one text, the likeliest first. */
export function classificationOf(index: number, { scores, shortened }: Scored, unsureBelow: number | null): object {
  const sorted = scores.toSorted((a: LabelScore, b: LabelScore) => b.logProbability - a.logProbability);
  const best = sorted[0]!;
  return {
    index,
    label: best.label,
    score: best.probability,
    ...(unsureBelow === null ? {} : { unsure: best.probability < unsureBelow }),
    shortened,
    scores: sorted.map(({ label, probability, logProbability }) => ({
      label,
      score: probability,
      log_probability: logProbability,
    })),
  };
}
