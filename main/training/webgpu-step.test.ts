/** Whole training steps on a graphics card: every loss and gradient of a tiny model against the processor's. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import type { Backend } from '../graph/backend.ts';
import type { Device } from '../graph/webgpu/device.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { tinyConfiguration } from '../models/fixtures/tiny-model.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import { optimiserSettings } from '../contract/recipe.ts';
import { cardForTests, needsCard, webGpuForTests } from '../testing/webgpu.ts';
import { packMicroBatch } from './batches.ts';
import { AdamW } from './optimiser.ts';
import { layerProblem } from './layer-check.ts';
import type { TokenWeights } from './token-weights.ts';
import { TopHead } from './top-tokens.ts';
import { TrainingStep, validPositions } from './training-step.ts';

const student = tinyConfiguration({
  architecture: 'qwen3',
  vocabSize: 96,
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  ffnSize: 64,
});

const rows = [9, 21, 14].map((length, row) => ({
  ids: Int32Array.from({ length }, (_, at) => (7 * at + 31 * row + 3) % 96),
  responseStart: 3 + row,
}));
const microBatches = [packMicroBatch(rows.slice(0, 2)), packMicroBatch(rows.slice(2))];

async function prepare(
  backend: Backend | undefined,
  distils: boolean,
  recomputeActivations: boolean,
  tokenWeights?: TokenWeights,
  scale: 'absmean' | 'learned' = 'absmean',
  teacherTop?: number,
) {
  const random = new Random(11);
  const draw = (): number => random.normal();
  const options = { threads: 1, backend };
  const configuration: ModelConfiguration = distils
    ? { ...student, quantisation: { weights: { scale, group: 'tensor' } } }
    : { ...student, ternary: false, subln: 'none' };
  const parameters = initialParameters(configuration, draw);
  const network = await Network.create(configuration, parameters, {
    ...options,
    mode: 'training',
    recomputeActivations,
  });
  const teacher = { ...student, ternary: false, subln: 'none' } as const;
  const teaching = distils
    ? await Network.create(teacher, initialParameters(teacher, draw), { ...options, mode: 'inference' })
    : null;
  const head = teaching && teacherTop !== undefined ? await TopHead.create(teaching, teacherTop, 5, options) : null;
  const step = await TrainingStep.create(
    network,
    teaching
      ? {
          teacher: head
            ? {
                configuration: teacher,
                parameters: new ParameterBuffer([]),
                forward: async (micro, layer) => {
                  const { hidden, states } = await teaching.forward(micro, layer);
                  return { hidden: null, states, top: await head.run(hidden, micro, validPositions(micro)) };
                },
                release: () => Promise.resolve(),
              }
            : teaching,
          teacherTop,
          lambda: 2,
          tau: 5,
          tauSquared: true,
          logitsTokens: 'all',
          tokenWeights,
          teacherLayer: 1,
          studentLayer: 1,
          splitHeads: 4,
          gamma: 0.3,
          gammaRatio: 0.5,
          hidden: 0,
        }
      : null,
    options,
  );
  return { network, step, gradients: new ParameterBuffer(parameters.specifications) };
}

/** The same, but what layers give is off by a fiftieth. */
function wrong(backend: Backend): Backend {
  return {
    ...backend,
    createSession: async (program, options) => {
      const session = await backend.createSession(program, options);
      return {
        program,
        release: () => session.release(),
        run: async (sizes, feeds, results) => {
          await session.run(sizes, feeds, results);
          const { output } = results;
          if (!(output instanceof Float32Array)) return;
          await backend.memory.read(output);
          output.set(output.map((value) => 0.98 * value));
          backend.memory.changed(output);
        },
      };
    },
  };
}

describe.skipIf(webGpuForTests() === null)(`training steps on a graphics card ${needsCard}`, () => {
  let device: Device;
  let backend: Backend;
  beforeAll(async () => {
    ({ device, backend } = await cardForTests());
  });
  afterAll(() => {
    device.close();
  });

  it.each<[string, boolean, boolean, TokenWeights?, 'learned'?, number?]>([
    ['full precision, cross-entropy', false, false],
    ['ternary, all three losses', true, false],
    ['ternary, all three losses, recomputed activations', true, true],
    ['ternary, all three losses, tokens that count differently', true, false, 'cakld'],
    ['ternary with learned scales, all three losses', true, false, undefined, 'learned'],
    ['ternary, of the teacher the likeliest tokens', true, false, 'cakld', undefined, 7],
  ])(
    '%s: three steps, losses, gradients and codes as on the processor',
    async (_title, distils, recompute, tokenWeights, scale, teacherTop) => {
      const expected = await prepare(undefined, distils, recompute, tokenWeights, scale, teacherTop);
      const found = await prepare(backend, distils, recompute, tokenWeights, scale, teacherTop);
      const settings = optimiserSettings.parse({ learningRate: 1e-3, weightDecay: 0.01, clipNorm: 1 });
      const optimiser = new AdamW(expected.network.parameters, settings);
      for (const number of [1, 2, 3]) {
        const wanted = await expected.step.run(number, microBatches, expected.gradients);
        device.takeCounts();
        const own = await found.step.run(number, microBatches, found.gradients);
        const counts = device.takeCounts();
        // Whatever the number of layers: all of a micro-batch is one. Only what the host works on comes before the rest: what a teacher makes of tokens, and the relations.
        // A teacher that is asked for its likeliest tokens gives its states and its logits to the host; a run asks it once, before the steps.
        const asked = teacherTop === undefined ? (tokenWeights ? 1 : 0) : 2;
        expect(counts.submissions).toBe(microBatches.length * ((distils ? 2 : 1) + asked));
        // Weights go to the card once a step (ternary ones as a byte, so with them less than gradients) and gradients come back once; the rest is states of a few tokens.
        const bytes = 4 * found.gradients.values.length;
        const states =
          4 * student.hiddenSize * microBatches.reduce((sum, { batch, length }) => sum + batch * length, 0);
        if (number > 1) expect(counts.uploadedBytes - bytes).toBeLessThan(distils ? 0 : 4 * states);
        expect(counts.downloadedBytes - bytes).toBeLessThan((distils ? 12 : 3) * states);
        expect(own.total / wanted.total).toBeCloseTo(1, 5);
        const { specifications } = expected.gradients;
        // A learned scale's gradient is one sum, which may be near 0: those of all matrices count together.
        const together = specifications.filter(({ scaleOf }) => scaleOf !== null);
        for (const tensors of [
          ...specifications.filter((each) => !together.includes(each)).map((each) => [each]),
          together,
        ]) {
          const values = ({ gradients }: typeof found): number[] =>
            tensors.flatMap(({ name }) => [...gradients.view(name)]);
          const [wanting, having] = [values(expected), values(found)];
          const largest = wanting.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const off = having.reduce((most, value, at) => Math.max(most, Math.abs(value - wanting[at]!)), 0);
          if (tensors.length > 0) expect(off / largest, `${tensors[0]!.name} in step ${number}`).toBeLessThan(1e-4);
        }
        // Both go on from the same weights, so that a step is held against a step.
        optimiser.step(expected.gradients, number, 1e-3);
        found.network.parameters.values.set(expected.network.parameters.values);
        expect(found.network.refreshTernary()).toEqual(expected.network.refreshTernary());
      }
      if (distils)
        for (const { name, ternary } of expected.gradients.specifications)
          if (ternary) expect(found.network.ternary(name)).toEqual(expected.network.ternary(name));
    },
  );

  it('a layer of the shape that is to be trained is as on the processor, and one that is off by a fiftieth is found out', async () => {
    expect(await layerProblem(student, backend, 1)).toBeNull();
    const quantisation = { weights: { scale: 'learned', group: 'tensor' } } as const;
    expect(await layerProblem({ ...student, quantisation }, backend, 1)).toBeNull();
    expect(await layerProblem(student, wrong(backend), 1)).toBe('its values differ by 2.0e-2 of their size');
  });
});
