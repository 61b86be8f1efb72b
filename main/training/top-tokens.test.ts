/** The likeliest tokens of a teacher: found, kept in a file and read again, and what the student makes of them. */
import { expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import { ScoringHead } from '../models/scoring-head.ts';
import { packMicroBatch } from './batches.ts';
import { oneLayerStudent as student } from './fixtures/one-layer-student.ts';
import { packTokens, TopHead, topOf, type TopTokens, topWords, unpackTokens } from './top-tokens.ts';
import { type Distillation, type Teacher, TrainingStep, validPositions } from './training-step.ts';

const options = { threads: 1 };
const micro = packMicroBatch(
  [5, 9].map((length) => ({
    ids: Int32Array.from({ length }, (_, at) => (7 * at + 3 * length) % 40),
    responseStart: 2,
  })),
);

async function teacherNetwork(): Promise<Network> {
  const random = new Random(3);
  const teacher = { ...student, ternary: false, subln: 'none' } as const;
  const parameters = initialParameters(teacher, () => random.normal() * 3);
  return Network.create(teacher, parameters, { ...options, mode: 'inference' });
}

async function tokensOf(network: Network, top: number, tau: number): Promise<TopTokens> {
  const head = await TopHead.create(network, top, tau, options);
  const found = await head.run((await network.forward(micro)).hidden, micro, validPositions(micro));
  await head.release();
  return found;
}

it('are the likeliest ones, with what is left over, at the temperature, and the next token at temperature 1', async () => {
  const network = await teacherNetwork();
  const [top, tau] = [6, 2];
  const found = await tokensOf(network, top, tau);
  const scoring = await ScoringHead.create(network, options);
  const positions = validPositions(micro);
  const logits = await scoring.logits((await network.forward(micro)).hidden, positions);
  for (const [row, position] of positions.entries()) {
    const own = [...logits.subarray(row * 40, (row + 1) * 40)];
    const probabilities = (temperature: number): number[] => {
      const powers = own.map((value) => Math.exp(value / temperature));
      const sum = powers.reduce((total, power) => total + power, 0);
      return powers.map((power) => power / sum);
    };
    const p = probabilities(tau);
    const sorted = [...p.keys()].sort((a, b) => p[b]! - p[a]!);
    expect([...found.ids.subarray(position * top, (position + 1) * top)]).toEqual(sorted.slice(0, top));
    for (const [at, id] of sorted.slice(0, top).entries())
      expect(found.logs[position * top + at]).toBeCloseTo(Math.log(p[id]!), 5);
    const rest = sorted.slice(top).reduce((sum, id) => sum + p[id]!, 0);
    expect(found.rest[position]).toBeCloseTo(Math.log(rest), 5);
    const item = Math.floor(position / micro.length);
    const last = position % micro.length === micro.lengths[item]! - 1;
    if (last) expect(found.next[position]).toBeNaN();
    else expect(found.next[position]).toBeCloseTo(Math.log(probabilities(1)[micro.ids[position + 1]!]!), 4);
  }
});

it.each([
  [6, 40, 3 + 3 + 2],
  [5, 40, 3 + 3 + 2],
  [64, 49_152, 32 + 32 + 2],
  [64, 151_936, 64 + 32 + 2],
])('%i tokens of %i take %i words in a file, keep their numbers, and add up to 1 again', (top, vocabSize, words) => {
  expect(topWords(top, vocabSize)).toBe(words);
  const random = new Random(5);
  const positions = 3;
  const logs = new Float32Array(positions * top);
  const rest = new Float32Array(positions);
  for (let at = 0; at < positions; at += 1) {
    // The last one is sure of itself: its rest is far below what float16 resolves.
    const shares = Array.from({ length: top + 1 }, (_, index) =>
      Math.exp(at === 2 && index > 0 ? -30 : random.normal()),
    );
    const sum = shares.reduce((total, share) => total + share, 0);
    for (let index = 0; index < top; index += 1) logs[at * top + index] = Math.log(shares[index]! / sum);
    rest[at] = Math.log(shares[top]! / sum);
  }
  const ids = Int32Array.from({ length: positions * top }, () => random.below(vocabSize));
  ids[0] = vocabSize - 1;
  const tokens: TopTokens = { top, ids, logs, rest, next: Float32Array.of(-0.25, NaN, -7) };
  const packed = packTokens(tokens, vocabSize);
  expect(packed.length).toBe(positions * words);
  // As a part of a larger buffer, as files are read.
  const read = new Float32Array(packed.length + 8);
  new Uint8Array(read.buffer).set(new Uint8Array(packed.buffer), 4 * 8);
  const found = unpackTokens(read.subarray(8), top, vocabSize);
  expect(found.ids).toEqual(ids);
  expect(found.next).toEqual(tokens.next);
  for (let at = 0; at < positions; at += 1) {
    const own = [...found.logs.subarray(at * top, (at + 1) * top), found.rest[at]!];
    expect(own.reduce((sum, log) => sum + Math.exp(log), 0)).toBeCloseTo(1, 6);
  }
  logs.forEach((log, index) => expect(Math.abs(found.logs[index]! - log)).toBeLessThan(1e-3 * (1 + Math.abs(log))));
  rest.forEach((log, index) => expect(Math.abs(found.rest[index]! - log)).toBeLessThan(1e-3 * (1 + Math.abs(log))));
});

const distils = {
  lambda: 2,
  tau: 1.5,
  tauSquared: false,
  logitsTokens: 'all',
  teacherLayer: 0,
  studentLayer: 0,
  splitHeads: 2,
  gamma: 0,
  gammaRatio: 0.5,
  hidden: 0,
} as const;

async function studentNetwork(): Promise<Network> {
  const random = new Random(8);
  const parameters = initialParameters({ ...student, ternary: false, subln: 'none' }, () => random.normal() * 2);
  return Network.create({ ...student, ternary: false, subln: 'none' }, parameters, { ...options, mode: 'training' });
}

/** A teacher that gives these tokens. */
function giving(teacher: Network, top: TopTokens): Teacher {
  return {
    configuration: teacher.configuration,
    parameters: new ParameterBuffer([]),
    forward: () => Promise.resolve({ hidden: null, states: null, top }),
    release: () => Promise.resolve(),
  };
}

async function stepOf(network: Network, distillation: Distillation) {
  const step = await TrainingStep.create(network, distillation, options);
  const gradients = new ParameterBuffer(network.parameters.specifications);
  const losses = await step.run(1, [micro], gradients);
  await step.release();
  return { losses, gradients };
}

it.each([undefined, 'tsld', 'cakld'] as const)(
  'all tokens but one teach what the whole vocabulary teaches (%s)',
  async (tokenWeights) => {
    const [teacher, network] = [await teacherNetwork(), await studentNetwork()];
    const whole = await stepOf(network, { ...distils, tokenWeights, teacher });
    expect(topOf(1024, student)).toBe(39);
    const top = await tokensOf(teacher, 1024, distils.tau);
    const given = { ...distils, tokenWeights, teacher: giving(teacher, top), teacherTop: 1024 };
    const found = await stepOf(network, given);
    expect(found.losses.distillation / whole.losses.distillation).toBeCloseTo(1, 5);
    const largest = whole.gradients.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [at, value] of whole.gradients.values.entries())
      expect(Math.abs(found.gradients.values[at]! - value) / largest).toBeLessThan(1e-5);
  },
);

it.each([undefined, 'cakld'] as const)(
  'the gradient of five tokens and the rest is that of finite differences (%s)',
  async (tokenWeights) => {
    const [teacher, network] = [await teacherNetwork(), await studentNetwork()];
    const top = await tokensOf(teacher, 5, distils.tau);
    const distillation = { ...distils, tokenWeights, teacher: giving(teacher, top), teacherTop: 5 };
    const { gradients } = await stepOf(network, distillation);
    const { values } = network.parameters;
    const largest = gradients.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const order = [...gradients.values.keys()].sort(
      (a, b) => Math.abs(gradients.values[b]!) - Math.abs(gradients.values[a]!),
    );
    for (const at of [0, 5, 20, 60, 120, 300].map((place) => order[place]!)) {
      const original = values[at]!;
      const lossAt = async (value: number): Promise<number> => {
        values[at] = value;
        return (await stepOf(network, distillation)).losses.total;
      };
      const [above, below] = [await lossAt(original + 4e-3), await lossAt(original - 4e-3)];
      values[at] = original;
      expect(Math.abs((above - below) / 8e-3 - gradients.values[at]!) / largest).toBeLessThan(5e-3);
    }
  },
);
