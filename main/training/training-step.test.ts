import { expect, it } from 'vitest';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import { tinyConfiguration } from '../models/fixtures/tiny-model.ts';
import { Random } from '../basics/random.ts';
import { packMicroBatch } from './batches.ts';
import { TrainingStep } from './training-step.ts';

const options = { threads: 1 };
const student = tinyConfiguration({
  vocabSize: 40,
  hiddenSize: 16,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headSize: 8,
  ffnSize: 24,
});

async function distillingStep() {
  const random = new Random(3);
  const draw = () => random.normal() * 3;
  const teacher = { ...student, ternary: false, subln: 'none' } as const;
  const network = await Network.create(student, initialParameters(student, draw), { ...options, mode: 'training' });
  const distillation = {
    teacher: await Network.create(teacher, initialParameters(teacher, draw), { ...options, mode: 'inference' }),
    lambda: 0,
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
  return {
    step: await TrainingStep.create(network, distillation, options),
    gradients: new ParameterBuffer(network.parameters.specifications),
  };
}

it('a step that is abandoned after gamma was measured leaves gamma as it was, and can be taken again', async () => {
  const rows = [5, 9].map((first) =>
    packMicroBatch([{ ids: Int32Array.from({ length: 6 }, (_, at) => first + at), responseStart: 2 }]),
  );
  // Gamma is measured on the first micro-batch of a step.
  const batches = (number: number) => (number === 1 ? rows : rows.toReversed());
  const straight = await distillingStep();
  const expected = [];
  for (const number of [1, 2]) expected.push(await straight.step.run(number, batches(number), straight.gradients));
  expect(expected[1]!.gamma).not.toBe(expected[0]!.gamma);

  const { step, gradients } = await distillingStep();
  for (const number of [1, 2]) {
    const before = step.balance!.gamma;
    let measured = before;
    const abandoned = step.run(number, batches(number), gradients, () => {
      if (step.balance!.gamma === before) return;
      measured = step.balance!.gamma;
      throw new Error('stop');
    });
    await expect(abandoned).rejects.toThrow('stop');
    expect(measured).not.toBe(before);
    expect(step.balance!.gamma).toBe(before);
    expect(await step.run(number, batches(number), gradients)).toEqual(expected[number - 1]);
  }
  expect(gradients.values).toEqual(straight.gradients.values);
});
