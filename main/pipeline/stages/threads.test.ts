/** What of a training step depends on the number of threads, and what does not (docs/architecture.md, "Engine", Determinism). */
import { describe, expect, it } from 'vitest';
import { Random } from '../../basics/random.ts';
import { initialParameters } from '../../models/initial-parameters.ts';
import { Network } from '../../models/network.ts';
import { ParameterBuffer } from '../../models/parameters.ts';
import { tinyConfiguration } from '../../models/fixtures/tiny-model.ts';
import { packMicroBatch } from '../../training/batches.ts';
import { type StepLosses, TrainingStep } from '../../training/training-step.ts';

const student = tinyConfiguration({
  vocabSize: 768,
  hiddenSize: 128,
  layers: 1,
  heads: 4,
  kvHeads: 2,
  headSize: 32,
  ffnSize: 128,
});
const teacher = { ...student, ternary: false, subln: 'none' } as const;
const rowLength = 40;

interface Taken {
  readonly hidden: Float32Array;
  readonly losses: StepLosses;
  readonly gradients: Float32Array;
}

/** @param answerTokens targets at the end of each of six rows, which are the rows of the head */
async function takeStep(threads: number, answerTokens: number, gradients: 'float32' | 'int16'): Promise<Taken> {
  const random = new Random(3);
  const draw = () => random.normal();
  const parameters = initialParameters(student, draw);
  const network = await Network.create(student, parameters, { threads, mode: 'training', arithmetic: { gradients } });
  const distillation = {
    teacher: await Network.create(teacher, initialParameters(teacher, draw), { threads, mode: 'inference' }),
    lambda: 1,
    tau: 5,
    tauSquared: false,
    logitsTokens: 'response',
    teacherLayer: 0,
    studentLayer: 0,
    splitHeads: 2,
    gamma: 'balanced',
    gammaRatio: 0.5,
    hidden: 0,
  } as const;
  const step = await TrainingStep.create(network, distillation, { threads });
  const rows = Array.from({ length: 6 }, () => ({
    ids: Int32Array.from({ length: rowLength }, () => random.below(student.vocabSize)),
    responseStart: rowLength - answerTokens,
  }));
  const batch = packMicroBatch(rows);
  const into = new ParameterBuffer(parameters.specifications);
  const losses = await step.run(1, [batch], into);
  const hidden = Float32Array.from((await network.forward(batch)).hidden);
  await step.release();
  await network.release();
  await distillation.teacher.release();
  return { hidden, losses, gradients: into.values };
}

describe.each(['float32', 'int16'] as const)('a step with gradients in %s, on 2, 3 and 4 threads', (arithmetic) => {
  it('is bit for bit that on one where products have as many rows as columns', async () => {
    const one = await takeStep(1, 38, arithmetic);
    expect(one.gradients.some((value) => value !== 0)).toBe(true);
    for (const threads of [2, 3, 4]) expect(await takeStep(threads, 38, arithmetic)).toEqual(one);
  });

  it('has the same ternary forward pass, and gradients within float32 rounding, where the head has few rows', async () => {
    const one = await takeStep(1, 1, arithmetic);
    const largest = one.gradients.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const threads of [2, 3, 4]) {
      const other = await takeStep(threads, 1, arithmetic);
      expect(other.hidden).toEqual(one.hidden);
      expect(other.losses.crossEntropy).toBe(one.losses.crossEntropy);
      const furthest = one.gradients.reduce(
        (most, value, at) => Math.max(most, Math.abs(value - other.gradients[at]!)),
        0,
      );
      expect(furthest / largest).toBeLessThan(1e-4);
    }
  });
});
