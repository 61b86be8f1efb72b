/** What the ranks of a run did since it began: sums over its steps, from which a mean step is told. */
import type { SharedStage } from '../contract/shared-stages.ts';

interface Work {
  tokens: number;
  computing: number;
  waiting: number;
  sent: number;
}

export class RanksWork {
  readonly #nodes: readonly string[];
  readonly #ranks: readonly Work[];
  #steps = 0;
  #seconds = 0;
  #exchanging = 0;

  /** @param nodes where each rank runs */
  constructor(nodes: readonly string[]) {
    this.#nodes = nodes;
    this.#ranks = nodes.map(() => ({ tokens: 0, computing: 0, waiting: 0, sent: 0 }));
  }

  /**
   * Adds what each rank did in a step before the exchange.
   * @param ranks `computing`: seconds; `sent`: bytes in all steps before this one
   */
  addComputing(ranks: readonly Omit<Work, 'waiting'>[]): void {
    const slowest = Math.max(...ranks.map(({ computing }) => computing));
    for (const [at, { tokens, computing, sent }] of ranks.entries()) {
      const rank = this.#ranks[at]!;
      rank.tokens += tokens;
      rank.computing += computing;
      rank.waiting += slowest - computing;
      rank.sent = sent;
    }
  }

  /** Adds the whole step, in seconds of this rank. */
  addStep(seconds: number, exchanging: number): void {
    this.#steps += 1;
    this.#seconds += seconds;
    this.#exchanging += exchanging;
  }

  /** @param sent bytes that this rank sent in the last step: known of no other one before the next */
  mean(sent: number): SharedStage {
    const steps = this.#steps;
    return {
      steps,
      stepSeconds: this.#seconds / steps,
      exchangeSeconds: this.#exchanging / steps,
      ranks: this.#ranks.map((rank, at) => ({
        node: this.#nodes[at]!,
        tokensPerSecond: rank.tokens / rank.computing,
        computingSeconds: rank.computing / steps,
        waitingSeconds: rank.waiting / steps,
        sentBytes: steps === 1 ? sent : rank.sent / (steps - 1),
      })),
    };
  }
}
