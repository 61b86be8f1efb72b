import { expect, it } from 'vitest';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import { Random } from '../basics/random.ts';
import { packMicroBatch } from './batches.ts';
import { oneLayerStudent as student } from './fixtures/one-layer-student.ts';
import { TrainingStep } from './training-step.ts';

const options = { threads: 1 };

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

it('the gradient of soft codes reaches the latent weights through their own derivative', async () => {
  const random = new Random(7);
  const parameters = initialParameters(student, () => random.normal());
  const network = await Network.create(student, parameters, {
    ...options,
    mode: 'training',
    arithmetic: { products: 'float32' },
  });
  const sharpness = 4;
  network.refreshTernary(1, sharpness);
  const step = await TrainingStep.create(network, null, options);
  const micro = packMicroBatch([{ ids: Int32Array.from({ length: 6 }, (_, at) => 5 + at), responseStart: 2 }]);
  const [ofCodes, ofLatents] = [0, 1].map(() => new ParameterBuffer(parameters.specifications));
  await step.gradientOf('others', micro, ofCodes!, step.count([micro]));
  await step.run(1, [micro], ofLatents!);
  for (const { name, ternary } of parameters.specifications) {
    const expected = ofCodes!.view(name);
    if (!ternary) {
      expect(ofLatents!.view(name), name).toEqual(expected);
      continue;
    }
    const latent = parameters.view(name);
    const delta = latent.reduce((sum, value) => sum + Math.abs(value), 0) / latent.length;
    const bend = (u: number): number => 1 - Math.tanh(sharpness * u) ** 2;
    let [difference, norm] = [0, 0];
    for (const [at, value] of ofLatents!.view(name).entries()) {
      const u = latent[at]! / delta;
      const wanted = (expected[at]! * sharpness * (bend(u - 0.5) + bend(u + 0.5))) / (2 * Math.tanh(sharpness));
      difference += (value - wanted) ** 2;
      norm += wanted ** 2;
    }
    expect(Math.sqrt(difference / norm), name).toBeLessThan(1e-6);
  }
  await step.release();
  await network.release();
});
