/**
 * Continuous batching: answers that come and go as they like, computed together. A step is one tile of the runtime, so the weights are read once for all
 * tokens in it. Tokens of answers come first, one of each conversation; what room is left takes the next piece of the prompts, so that a long prompt
 * holds the others up for no more than a tile. What an answer is does not depend on what is computed beside it.
 */
import {
  type Conversation,
  generateWith,
  type Generation,
  type GenerationOptions,
  type SamplingOptions,
  type StudentModel,
} from '../../../native/runtime.ts';
import type { LabelScore } from '../../contract/helper-protocol.ts';
import { scoreLabelsBeside } from '../task/label-scores.ts';
import type { LabelWords } from '../task/label-words.ts';

/** Turns with at most so many tokens left are parts of answers, all longer ones are prompts. */
const shortTurn = 8;

interface Found {
  /** The next token; null where none was to be sampled. */
  readonly token: number | null;
  readonly logits: Float32Array;
}

/** Tokens that wait to be appended to a conversation, and what is wanted after them. */
interface Waiting {
  readonly conversation: Conversation;
  readonly ids: Int32Array;
  /** How the next token is chosen; null where none is. */
  readonly sampling: SamplingOptions | null;
  /** [tokens, vocabulary] of the last tokens, as many as are wanted. */
  readonly logits: Float32Array;
  readonly wanted: number;
  readonly signal: AbortSignal | undefined;
  /** Tokens that were appended. */
  done: number;
  /** Null: it was cancelled. */
  resolve(found: Found | null): void;
  reject(thrown: unknown): void;
}

/** What of it is computed in a step. */
interface Piece {
  readonly of: Waiting;
  readonly count: number;
  /** Of so many of its last tokens logits are wanted. */
  readonly logits: number;
}

export class Batch {
  readonly #model: StudentModel;
  readonly #free: Conversation[] = [];
  #waiting: Waiting[] = [];
  #running = false;

  constructor(model: StudentModel) {
    this.#model = model;
  }

  /** As `StudentModel.generate`, in a conversation of its own. */
  generate(
    ids: Int32Array,
    options: GenerationOptions,
    onToken?: (token: number) => boolean | undefined,
  ): Promise<Generation> {
    const { seed = 0, signal, temperature, topK, topP, repetitionPenalty } = options;
    const sampling = { temperature, topK, topP, repetitionPenalty };
    return this.#converse((conversation) => {
      conversation.seed(seed);
      const next = async (piece: Int32Array): Promise<number | null> =>
        (await this.#append({ conversation, ids: piece, sampling, wanted: 0, signal }))?.token ?? null;
      return generateWith(next, this.#model.info.contextLength, ids, options, onToken);
    });
  }

  /** As `scoreLabels`; null where it was cancelled. */
  score(
    prompt: Int32Array,
    labels: LabelWords,
    temperature?: number,
    signal?: AbortSignal,
  ): Promise<LabelScore[] | null> {
    return this.#converse((conversation) =>
      scoreLabelsBeside(
        async (length, ids, wanted) => {
          conversation.reset(length);
          return (await this.#append({ conversation, ids, sampling: null, wanted, signal }))?.logits ?? null;
        },
        prompt,
        labels,
        temperature,
      ),
    );
  }

  /** Conversations are used again, so there are as many as answers were asked for at once. */
  async #converse<Result>(work: (conversation: Conversation) => Promise<Result>): Promise<Result> {
    const conversation = this.#free.pop() ?? this.#model.open();
    try {
      conversation.reset();
      return await work(conversation);
    } finally {
      this.#free.push(conversation);
    }
  }

  #append(turn: Pick<Waiting, 'conversation' | 'ids' | 'sampling' | 'wanted' | 'signal'>): Promise<Found | null> {
    const logits = new Float32Array(turn.wanted * this.#model.info.vocabularySize);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...turn, logits, done: 0, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  /** Steps as long as somebody waits. Between two of them requests come, hear of their tokens, and are cancelled. */
  async #run(): Promise<void> {
    this.#running = true;
    do {
      await new Promise((resolve) => setImmediate(resolve));
      const [cancelled, others] = [true, false].map((aborted) =>
        this.#waiting.filter(({ signal }) => (signal?.aborted ?? false) === aborted),
      );
      this.#waiting = others!;
      for (const { resolve } of cancelled!) resolve(null);
      this.#step();
    } while (this.#waiting.length > 0);
    this.#running = false;
  }

  #step(): void {
    const pieces = this.#pieces();
    try {
      this.#compute(pieces);
    } catch (thrown) {
      const failed = new Set(pieces.map(({ of }) => of));
      this.#waiting = this.#waiting.filter((each) => !failed.has(each));
      for (const { reject } of failed) reject(thrown);
    }
  }

  /** What fits into a tile: first the tokens of answers, then the prompts in the order in which they came. */
  #pieces(): Piece[] {
    const isShort = ({ ids, done }: Waiting): boolean => ids.length - done <= shortTurn;
    const inOrder = [...this.#waiting.filter(isShort), ...this.#waiting.filter((each) => !isShort(each))];
    const pieces: Piece[] = [];
    let room = this.#model.info.tileTokens;
    for (const of of inOrder) {
      if (room === 0) break;
      const left = of.ids.length - of.done;
      const count = Math.min(left, room);
      pieces.push({ of, count, logits: Math.max(0, count - Math.max(0, left - of.wanted)) });
      room -= count;
    }
    return pieces;
  }

  #compute(pieces: readonly Piece[]): void {
    const turns = pieces.map(({ of: { conversation, ids, done }, count, logits }) => ({
      conversation,
      ids: ids.subarray(done, done + count),
      logits,
    }));
    let found = this.#model.append(turns);
    for (const { of, count, logits } of pieces) {
      const values = logits * this.#model.info.vocabularySize;
      of.done += count;
      // The last of the wanted ones end where the tokens end.
      const after = (of.ids.length - of.done) * this.#model.info.vocabularySize;
      if (values > 0) of.logits.set(found.subarray(0, values), of.logits.length - after - values);
      found = found.subarray(values);
    }
    const complete = pieces.map(({ of }) => of).filter(({ ids, done }) => done === ids.length);
    const sampled = complete.filter(({ sampling }) => sampling !== null);
    const tokens = this.#model.sampleEach(
      sampled.map(({ conversation }) => conversation),
      sampled.map(({ sampling }) => sampling!),
    );
    this.#waiting = this.#waiting.filter(({ ids, done }) => done < ids.length);
    for (const of of complete) of.resolve({ token: tokens[sampled.indexOf(of)] ?? null, logits: of.logits });
  }
}
