/**
 * How long a step takes that ranks share (main/training/sharded-steps.ts), from what its parts cost one core and what travels. Each part is there for a
 * reason: the shards are divided among the ranks, the optimiser's slices too; new codes are made by each rank for itself.
 */

/** Processor seconds of one core, of a step's parts. */
export interface StepCosts {
  /** Parameters of each stretch that travels by itself (`stretchesOf`), in their order. */
  readonly stretches: readonly number[];
  /** Forward and backward of the whole step. */
  readonly gradients: number;
  /** One gradient added to another. */
  readonly addition: number;
  /** Norm and AdamW, of all parameters. */
  readonly optimiser: number;
  /** New codes of all ternary matrices. */
  readonly codes: number;
}

export interface Machines {
  readonly ranks: number;
  readonly shards: number;
  /** Cores of each, which share what is divided as if nothing were lost. */
  readonly cores: number;
}

export interface Line {
  /** In each direction, of each machine. */
  readonly bitsPerSecond: number;
  /** From one machine to another and back, seconds. */
  readonly roundTrip: number;
}

/** Bytes of a number on its way. */
export interface Wire {
  readonly gradient: number;
  readonly parameter: number;
}

export const float32Wire: Wire = { gradient: 4, parameter: 4 };
/** With `roundedExchange` in as many parts as there are ranks. */
export const roundedWire: Wire = { gradient: 2, parameter: 2 };

/** Floats that two ranks exchange in one turn (`kChunk` in native/mpi/mpi.cc). */
const chunk = 2 ** 18;
/** Waits for the others besides the turns: totals, losses, norms, and the trainer's questions whether to stop or save. */
const smallExchanges = 5;

/** Bytes that a rank sends in a step: of its gradient the slices of the others, and its slice of the parameters to each of them. */
export function bytesSent(parameters: number, ranks: number, wire: Wire = float32Wire): number {
  return ((wire.gradient + wire.parameter) * parameters * (ranks - 1)) / ranks;
}

/** Processor seconds of a rank in a step, what the exchange takes not counted. */
export function computingSeconds(costs: StepCosts, { ranks, shards }: Omit<Machines, 'cores'>): number {
  const additions = shards / ranks - 1;
  return (costs.gradients + costs.optimiser) / ranks + additions * costs.addition + costs.codes;
}

/** Processor seconds of adding what the others sent of the own slice. */
function sumSeconds({ addition }: StepCosts, ranks: number): number {
  return ((ranks - 1) / ranks) * addition;
}

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

export function exchangeSeconds(
  stretches: readonly number[],
  ranks: number,
  line: Line,
  wire: Wire = float32Wire,
): number {
  if (ranks === 1) return 0;
  const ways = Number(wire.gradient > 0) + Number(wire.parameter > 0);
  const turns = ways * sum(stretches.map((each) => Math.ceil(each / ranks / chunk))) + smallExchanges;
  return (8 * bytesSent(sum(stretches), ranks, wire)) / line.bitsPerSecond + turns * line.roundTrip;
}

/** Nothing of the exchange beside the backward pass. */
export function separateSeconds(costs: StepCosts, machines: Machines, line: Line, wire: Wire = float32Wire): number {
  const { ranks, cores } = machines;
  return (
    computingSeconds(costs, machines) / cores +
    // The exchange has one thread.
    sumSeconds(costs, ranks) +
    exchangeSeconds(costs.stretches, ranks, line, wire)
  );
}

export function stepSeconds(costs: StepCosts, machines: Machines, line: Line, wire: Wire = float32Wire): number {
  return separateSeconds(costs, machines, line, wire) - overlapSeconds(costs, machines, line, wire);
}

/**
 * What the exchange spares by beginning during the last backward pass of a rank (a sum over shards is final only then; the parameters go out after the
 * optimiser, when nothing is left to compute). The first stretch, with the embedding, is final last, and nothing is before the last stretch is. A backward
 * pass is two thirds of a shard.
 */
export function overlapSeconds(costs: StepCosts, machines: Machines, line: Line, wire: Wire = float32Wire): number {
  const early = costs.stretches.slice(1);
  if (machines.ranks === 1 || early.length === 0) return 0;
  const gradients = exchangeSeconds(early, machines.ranks, line, { ...wire, parameter: 0 });
  const pass = ((2 / 3) * costs.gradients) / machines.shards / machines.cores;
  return Math.min(gradients, pass * (early.length / costs.stretches.length));
}

/** Ranks that are looked at. */
export const rankNumbers = [1, 2, 4, 8, 16, 32, 64] as const;

/** A doubling of the machines is worth it while the step gets shorter by a tenth. */
const worth = 0.9;

/** The last number of machines that was worth its doubling; 1 where the second one already is not. */
export function lastWorth(seconds: (ranks: number) => number): number {
  let last = 1;
  for (const ranks of rankNumbers.slice(1)) {
    if (seconds(ranks) > worth * seconds(ranks / 2)) break;
    last = ranks;
  }
  return last;
}

/** Tokens of a step from which a second machine makes it shorter at all. @param tokens of the step that `costs` are of */
export function tokensWorthTwo(costs: StepCosts, tokens: number, cores: number, line: Line, wire?: Wire): number {
  const of = (ranks: number): number =>
    stepSeconds({ ...costs, gradients: 0 }, { ranks, shards: 8, cores }, line, wire);
  const lost = of(2) - of(1);
  return lost <= 0 ? 0 : lost / (costs.gradients / tokens / cores / 2);
}
