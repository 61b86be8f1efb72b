/** Whole models, losses and optimiser against an independent PyTorch implementation (models/golden/README.md). */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../formats/safetensors/index.ts';
import { parseConfiguration } from '../models/architectures/index.ts';
import { type ModelConfiguration, stateWidths } from '../models/configuration.ts';
import { exactByteProducts } from '../graph/exact-byte-products.ts';
import type { NetworkOptions } from '../models/layer-sessions.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, parameterSpecifications } from '../models/parameters.ts';
import { readStored, storedTensors, storedValues } from '../models/stored-parameters.ts';
import { plainQuantisation, type Quantisation } from '../contract/quantisation.ts';
import { optimiserSettings, type SublnPlacement } from '../contract/recipe.ts';
import { cardForTests } from '../testing/webgpu.ts';
import { AttentionRelation } from './attention-relation.ts';
import { AdamW } from './optimiser.ts';
import { TopHead } from './top-tokens.ts';
import { type Distillation, type MicroBatch, type Teacher, TrainingStep, validPositions } from './training-step.ts';

const folder = fileURLToPath(new URL('../models/golden/', import.meta.url));
/** `TRITSMITH_TEST_BACKEND=webgpu`: all of it on a graphics card, in minutes. */
const backend = process.env['TRITSMITH_TEST_BACKEND'] === 'webgpu' ? (await cardForTests()).backend : undefined;
const options = { threads: 2, backend };
const largest: Record<string, number> = {};

interface Golden {
  meta: Record<string, unknown> & { lengths: number[]; config: object };
  has(name: string): boolean;
  shape(name: string): readonly number[];
  readFloat32(name: string, target?: Float32Array): Promise<Float32Array>;
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

async function golden(name: string): Promise<Golden> {
  const file = await openSafetensors(join(folder, `${name}.safetensors`));
  return {
    meta: JSON.parse(file.metadata.meta!) as Golden['meta'],
    has: (tensor) => file.tensors.has(tensor),
    shape: (tensor) => file.tensors.get(tensor)!.shape,
    readFloat32: (tensor, target) => file.readFloat32(tensor, target),
    read: async (tensor) => {
      const { dtype } = file.tensors.get(tensor)!;
      if (dtype === 'F32') return file.readFloat32(tensor);
      const bytes = await file.readBytes(tensor);
      return Float32Array.from(new Int32Array(bytes.slice().buffer));
    },
    close: () => file.close(),
  };
}

/** |a - b| / |b| over a tensor (L2), with a floor for tensors that are all but zero. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let norm = 0;
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, index) => {
    difference += (actual[index]! - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-6);
}

function note(kind: string, error: number): number {
  largest[kind] = Math.max(largest[kind] ?? 0, error);
  return error;
}

async function microBatch(file: Golden): Promise<MicroBatch> {
  const { lengths } = file.meta;
  const ids = Int32Array.from(await file.read('input_ids'));
  const targets = Int32Array.from(await file.read('targets'));
  const positions = [...targets.keys()].filter((position) => targets[position]! >= 0);
  return {
    ids,
    batch: lengths.length,
    length: ids.length / lengths.length,
    lengths,
    targetPositions: Int32Array.from(positions),
    targets: Int32Array.from(positions, (position) => targets[position]!),
  };
}

async function loadNetwork(
  configuration: ModelConfiguration,
  sources: Golden[],
  mode: 'training' | 'inference',
  change: (name: string, values: Float32Array) => Float32Array = (_, values) => values,
  more: Partial<NetworkOptions> = {},
): Promise<Network> {
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  for (const specification of parameters.specifications) {
    const { name } = specification;
    const source = sources.find((file) => file.has(specification.stored?.name ?? name));
    if (!source) throw new Error(`no golden parameter ${name}`);
    const target = parameters.view(name);
    await readStored(source, specification, configuration, folder, target);
    target.set(change(name, target));
  }
  return Network.create(configuration, parameters, { ...options, mode, ...more });
}

/** The valid rows of `[B, T, width]`. */
function valid(values: Float32Array, { lengths, length }: MicroBatch, width: number): Float32Array {
  return Float32Array.from(
    lengths.flatMap((count, row) => [...values.subarray(row * length * width, (row * length + count) * width)]),
  );
}

/** Where each golden model's base parameters are stored (models/golden/README.md). */
const bases: Record<string, string> = { llama3: 'fp-llama', qwen2: 'fp-llama' };

const newer = ['gemma3', 'mistral', 'smollm3', 'phi3', 'granite', 'olmo2'] as const;

async function checkModel(
  name: string,
  architecture: string,
  placement: SublnPlacement | null,
  more: Partial<NetworkOptions> = {},
  quantisation: Quantisation = plainQuantisation,
): Promise<ParameterBuffer> {
  const fixedPoint = more.arithmetic?.gradients === 'int16';
  const rounded = more.roundedProducts === true;
  const way = fixedPoint ? ', 16 bits' : rounded ? ', rounded products' : '';
  // Ternary layers compute in int8 going forward, where nothing is rounded further.
  const bound = rounded && placement === null ? 2e-2 : 1e-5;
  const file = await golden(name);
  const source = await golden(bases[architecture] ?? `fp-${architecture}`);
  const own = await golden(`fp-${architecture}`);
  const configuration: ModelConfiguration = {
    ...parseConfiguration(JSON.stringify(own.meta.config)),
    ternary: placement !== null,
    subln: placement ?? 'none',
    quantisation,
  };
  const student = await loadNetwork(configuration, [file, own, source], 'training', undefined, more);
  const micro = await microBatch(file);
  const { hidden, states } = await student.forward(micro, file.meta.layer as number);
  const { q, k } = stateWidths(student.configuration);
  const width = configuration.hiddenSize;
  expect(
    note(
      `hidden states${way}`,
      relativeError(valid(hidden, micro, width), valid(await file.read('out.hidden'), micro, width)),
    ),
  ).toBeLessThan(bound);
  for (const [kind, size] of [
    ['q', q],
    ['k', k],
    ['v', k],
  ] as const)
    expect(
      note(
        `q, k, v${way}`,
        relativeError(valid(states![kind], micro, size), valid(await file.read(`out.${kind}`), micro, size)),
      ),
    ).toBeLessThan(bound);
  const step = await TrainingStep.create(student, null, options);
  const gradients = new ParameterBuffer(student.parameters.specifications);
  const losses = await step.run(1, [micro], gradients);
  const loss = note(`loss${way}`, Math.abs(losses.crossEntropy / (file.meta.loss as number) - 1));
  expect(loss).toBeLessThan(rounded && placement === null ? 3e-3 : 1e-6);
  const mostOff = fixedPoint ? 1e-3 : rounded ? (placement === null ? 3e-2 : 1e-2) : 2e-5;
  const off = (found: Float32Array, expected: Float32Array): number =>
    note(`gradients (${name.split('-')[0]}${way})`, relativeError(found, expected));
  const scales = gradients.specifications.filter(({ scaleOf }) => scaleOf !== null);
  const others = gradients.specifications.filter(({ scaleOf }) => scaleOf === null);
  for (const tensor of storedTensors(others)) {
    // A gradient has no offset.
    const parts = tensor.parts.map((part) => ({ ...part, storedOffset: 0 }));
    const found = storedValues({ ...tensor, parts }, (parameter) => gradients.view(parameter));
    expect(off(found, await file.read(`grad.${tensor.name}`)), tensor.name).toBeLessThan(mostOff);
  }
  // A learned scale's gradient is one sum, which may be near 0: those of all matrices are held against together.
  const [found, expected]: [number[], number[]] = [[], []];
  for (const { name: scale } of scales) {
    found.push(...gradients.view(scale));
    expected.push(...(await file.read(`grad.${scale}`)));
  }
  if (scales.length > 0)
    expect(off(Float32Array.from(found), Float32Array.from(expected)), 'learned scales').toBeLessThan(mostOff);
  await file.close();
  await source.close();
  await own.close();
  return gradients;
}

describe('models: hidden states, loss and every gradient equal PyTorch in float64', () => {
  for (const architecture of ['llama', 'llama3', 'qwen2', 'qwen3', ...newer])
    it(`${architecture}, full precision`, async () => {
      await checkModel(`fp-${architecture}`, architecture, null);
    });
  for (const [architecture, placements] of [
    ['llama', ['none', 'paper', 'all']],
    ['qwen2', ['paper']],
    ['qwen3', ['none', 'paper', 'all']],
    ['gemma3', ['all']],
    ...newer.map((family) => [family, ['paper']] as const),
  ] as const)
    for (const placement of placements)
      it(`${architecture}, ternary, SubLN ${placement}`, async () => {
        await checkModel(`ternary-${architecture}-${placement}`, architecture, placement);
      });
  it.each<[string, Quantisation]>([
    ['row', { weights: { scale: 'absmean', group: 'row' } }],
    ['columns', { weights: { scale: 'absmedian', group: 16 } }],
    ['sparse', { weights: { scale: 'absmean', group: 'tensor', sparsity: '2:4' } }],
    ['exactly', { weights: { scale: 'absmean', group: 'tensor', sparsity: 'exactly-3:4' } }],
    ['hadamard', { ...plainQuantisation, activations: { hadamard: true, bits: 8 } }],
    ['four-bits', { ...plainQuantisation, activations: { hadamard: true, bits: 4 } }],
    ['learned', { weights: { scale: 'learned', group: 'tensor' } }],
    ['learned-rows', { weights: { scale: 'learned', group: 'row' } }],
  ])('qwen3, quantised otherwise: %s', async (name, quantisation) => {
    for (const products of ['int8', 'float32'] as const)
      await checkModel(`quantised-${name}`, 'qwen3', 'paper', { arithmetic: { products } }, quantisation);
    await checkModel(`quantised-${name}`, 'qwen3', 'paper', { recomputeActivations: true }, quantisation);
  });
  it('qwen3, ternary, recomputed activations', async () => {
    await checkModel('ternary-qwen3-paper', 'qwen3', 'paper', { recomputeActivations: true });
  });
  it('ternary, gradients in 16-bit fixed point: to a thousandth, the same bits recomputed and on one thread', async ({
    skip,
  }) => {
    if (!(await exactByteProducts())) skip('this processor has no exact products of bytes');
    const arithmetic = { gradients: 'int16' } as const;
    for (const placement of ['none', 'all'] as const)
      await checkModel(`ternary-llama-${placement}`, 'llama', placement, { arithmetic });
    const runs = [];
    for (const more of [{}, { recomputeActivations: true }, { threads: 1 }])
      runs.push(await checkModel('ternary-qwen3-paper', 'qwen3', 'paper', { arithmetic, ...more }));
    for (const run of runs.slice(1)) expect(run.values).toEqual(runs[0]!.values);
  });
});

describe('products of factors rounded to bfloat16', () => {
  it.each(['llama', 'qwen2', ...newer])(
    '%s, full precision: hidden states to two hundredths, gradients to three',
    async (architecture) => {
      await checkModel(`fp-${architecture}`, architecture, null, { roundedProducts: true });
    },
  );
  it('ternary: nothing rounded going forward, gradients to a hundredth, the same bits recomputed and on one thread', async () => {
    await checkModel('ternary-gemma3-all', 'gemma3', 'all', { roundedProducts: true });
    const runs = [];
    for (const more of [{}, { recomputeActivations: true }, { threads: 1 }])
      runs.push(await checkModel('ternary-qwen3-paper', 'qwen3', 'paper', { roundedProducts: true, ...more }));
    for (const run of runs.slice(1)) expect(run.values).toEqual(runs[0]!.values);
  });
});

describe('attention relation (Algorithm 1) alone', () => {
  it.each([4, 8])('split heads %i, padded rows and columns masked', async (split) => {
    const file = await golden('losses');
    const values = file.meta.values as Record<string, number>;
    const lengths = [...(await file.read('relation.lengths'))];
    const states = async (side: string) => ({
      q: await file.read(`relation.${side}.q`),
      k: await file.read(`relation.${side}.k`),
      v: await file.read(`relation.${side}.v`),
    });
    const [student, teacher] = [await states('student'), await states('teacher')];
    const relation = await AttentionRelation.create({ q: 32, k: 16, v: 16 }, { q: 48, k: 24, v: 24 }, split, options);
    const total = lengths.reduce((a, b) => a + b, 0);
    const { loss, gradient } = await relation.run(student, teacher, lengths, 12, total, 1);
    expect(note('relation loss', Math.abs(loss / values[`relation.split${split}`]! - 1))).toBeLessThan(1e-5);
    for (const kind of ['q', 'k', 'v'] as const)
      expect(
        note(
          'relation gradient',
          relativeError(gradient[kind], await file.read(`relation.split${split}.grad.${kind}`)),
        ),
      ).toBeLessThan(1e-5);
    await file.close();
  });
});

async function distillation(file: Golden): Promise<{ student: Network; settings: Distillation }> {
  const base = await golden('fp-qwen3');
  const ternary = await golden('ternary-qwen3-paper');
  const configuration = parseConfiguration(JSON.stringify(base.meta.config));
  const student = await loadNetwork({ ...configuration, ternary: true, subln: 'paper' }, [base, ternary], 'training');
  const teacher = await loadNetwork(configuration, [base], 'inference', (name, values) =>
    name.includes('_proj.') ? values.map((value) => value * 0.5) : values,
  );
  const { tau, lambda, gamma, splitHeads, layer, hidden } = file.meta as unknown as Record<string, number>;
  const settings: Distillation = {
    teacher,
    lambda: lambda!,
    tau: tau!,
    tauSquared: false,
    logitsTokens: 'response',
    teacherLayer: layer!,
    studentLayer: layer!,
    splitHeads: splitHeads!,
    gamma: gamma!,
    gammaRatio: 0.5,
    hidden: hidden ?? 0,
  };
  await base.close();
  await ternary.close();
  return { student, settings };
}

/** A teacher of whom the likeliest tokens are known, and nothing else. */
async function asTopTokens(teacher: Teacher, top: number, tau: number): Promise<Teacher> {
  const head = await TopHead.create(teacher, top, tau, options);
  return {
    configuration: teacher.configuration,
    parameters: new ParameterBuffer([]),
    forward: async (micro) => {
      const { hidden } = await teacher.forward(micro);
      return { hidden: null, states: null, top: await head.run(hidden!, micro, validPositions(micro)) };
    },
    release: () => head.release(),
  };
}

async function expectGradients(gradients: ParameterBuffer, file: Golden): Promise<void> {
  for (const { name } of gradients.specifications)
    expect(
      note('gradients (distillation)', relativeError(gradients.view(name), await file.read(`grad.${name}`))),
      name,
    ).toBeLessThan(2e-5);
}

/** A micro-batch as one of each row. */
function rowsOf(micro: MicroBatch): MicroBatch[] {
  return micro.lengths.map((length, row): MicroBatch => {
    const at = [...micro.targetPositions.keys()].filter(
      (index) => Math.floor(micro.targetPositions[index]! / micro.length) === row,
    );
    return {
      ids: micro.ids.subarray(row * micro.length, (row + 1) * micro.length),
      batch: 1,
      length: micro.length,
      lengths: [length],
      targetPositions: Int32Array.from(at, (index) => micro.targetPositions[index]! - row * micro.length),
      targets: Int32Array.from(at, (index) => micro.targets[index]!),
    };
  });
}

describe('whole distillation: L_CE + lambda L_LD + gamma L_AD', () => {
  it('each term and every gradient', async () => {
    const file = await golden('distil-qwen3');
    const { student, settings } = await distillation(file);
    const step = await TrainingStep.create(student, settings, options);
    const gradients = new ParameterBuffer(student.parameters.specifications);
    const micro = await microBatch(file);
    const losses = await step.run(1, [micro], gradients);
    const terms = file.meta.terms as Record<string, number>;
    expect(losses.crossEntropy / terms.crossEntropy!).toBeCloseTo(1, 6);
    expect(losses.distillation / (settings.lambda * terms.logits!)).toBeCloseTo(1, 5);
    expect(losses.relation / terms.relation!).toBeCloseTo(1, 5);
    expect(losses.total / (file.meta.total as number)).toBeCloseTo(1, 6);
    await expectGradients(gradients, file);

    // The same step in three micro-batches of one row.
    const whole = gradients.values.slice();
    const rows = rowsOf(micro);
    const split = await step.run(1, rows, gradients);
    expect(split.total / losses.total).toBeCloseTo(1, 6);
    expect(relativeError(gradients.values, whole)).toBeLessThan(1e-5);
    await file.close();
  });

  it('the last hidden states beside the others', async () => {
    const file = await golden('distil-hidden-qwen3');
    const { student, settings } = await distillation(file);
    const step = await TrainingStep.create(student, settings, options);
    const gradients = new ParameterBuffer(student.parameters.specifications);
    const losses = await step.run(1, [await microBatch(file)], gradients);
    const terms = file.meta.terms as Record<string, number>;
    expect(losses.hidden / (settings.hidden * terms.hidden!)).toBeCloseTo(1, 5);
    expect(losses.total / (file.meta.total as number)).toBeCloseTo(1, 6);
    await expectGradients(gradients, file);
    await file.close();
  });

  it.each(['tsld', 'cakld'] as const)(
    'tokens that count by what the teacher makes of the next one: %s, whole and row by row',
    async (tokenWeights) => {
      const file = await golden('token-weights-qwen3');
      const { student, settings } = await distillation(file);
      const gradients = new ParameterBuffer(student.parameters.specifications);
      const micro = await microBatch(file);
      const terms = file.meta.terms as Record<string, number>;
      for (const logitsTokens of ['response', 'all'] as const) {
        const step = await TrainingStep.create(student, { ...settings, tokenWeights, logitsTokens }, options);
        for (const microBatches of [[micro], rowsOf(micro)]) {
          const losses = await step.run(1, microBatches, gradients);
          expect(losses.crossEntropy / (file.meta.crossEntropy as number)).toBeCloseTo(1, 6);
          const key = `${tokenWeights}.${logitsTokens}`;
          expect(note('weighted logits term', Math.abs(losses.distillation / terms[key]! - 1)), key).toBeLessThan(1e-5);
          for (const name of ['norm', 'embed_tokens', 'layers.1.mlp.down_proj.subln'].map((at) => `model.${at}.weight`))
            expect(
              note('gradients (weighted)', relativeError(gradients.view(name), await file.read(`${key}.${name}`))),
              `${key} ${name}`,
            ).toBeLessThan(2e-5);
        }
        await step.release();
      }
      await file.close();
    },
  );

  it.each(['alike', 'tsld', 'cakld'] as const)(
    'the likeliest tokens of a teacher and the rest of them: %s, whole and row by row',
    async (kind) => {
      const file = await golden('top-tokens-qwen3');
      const { student, settings } = await distillation(file);
      const gradients = new ParameterBuffer(student.parameters.specifications);
      const micro = await microBatch(file);
      const terms = file.meta.terms as Record<string, number>;
      const teacherTop = file.meta.top as number;
      const teacher = await asTopTokens(settings.teacher, teacherTop, settings.tau);
      const tokenWeights = kind === 'alike' ? undefined : kind;
      for (const logitsTokens of ['response', 'all'] as const) {
        const asked = { ...settings, teacher, teacherTop, tokenWeights, logitsTokens };
        const step = await TrainingStep.create(student, asked, options);
        for (const microBatches of [[micro], rowsOf(micro)]) {
          const losses = await step.run(1, microBatches, gradients);
          expect(losses.crossEntropy / (file.meta.crossEntropy as number)).toBeCloseTo(1, 6);
          const key = `${kind}.${logitsTokens}`;
          expect(note('likeliest tokens', Math.abs(losses.distillation / terms[key]! - 1)), key).toBeLessThan(1e-5);
          for (const name of ['norm', 'embed_tokens', 'layers.1.mlp.down_proj.subln'].map((at) => `model.${at}.weight`))
            expect(
              note('gradients (likeliest)', relativeError(gradients.view(name), await file.read(`${key}.${name}`))),
              `${key} ${name}`,
            ).toBeLessThan(2e-5);
        }
        await step.release();
      }
      await file.close();
    },
  );

  it('a balanced gamma holds the measured ratio of the gradient norms', async () => {
    const file = await golden('distil-qwen3');
    const norms = file.meta.gradientNormOfTerm as Record<string, number>;
    const { student, settings } = await distillation(file);
    const step = await TrainingStep.create(student, { ...settings, lambda: 0, gamma: 'balanced' }, options);
    const gradients = new ParameterBuffer(student.parameters.specifications);
    const losses = await step.run(1, [await microBatch(file)], gradients);
    expect(losses.gamma / ((0.5 * norms.crossEntropy!) / norms.relation!)).toBeCloseTo(1, 4);
    expect(losses.gradientRatio).toBeCloseTo(0.5, 6);
    await file.close();
  });

  it.each([
    ['full precision, cross-entropy', 'adamw-fp-qwen3', 2e-5],
    ['ternary, distillation', 'adamw-qwen3', 2e-3],
  ])('ten AdamW steps with clipping: %s', async (_, name, tolerance) => {
    const file = await golden(name);
    const ternary = name === 'adamw-qwen3';
    let student: Network;
    let settings: Distillation | null = null;
    if (ternary) ({ student, settings } = await distillation(file));
    else {
      const base = await golden('fp-qwen3');
      student = await loadNetwork(parseConfiguration(JSON.stringify(base.meta.config)), [base], 'training');
      await base.close();
    }
    const inputs = await golden(ternary ? 'distil-qwen3' : 'fp-qwen3');
    const micro = await microBatch(inputs);
    await inputs.close();
    const step = await TrainingStep.create(student, settings, options);
    const gradients = new ParameterBuffer(student.parameters.specifications);
    const optimiser = new AdamW(
      student.parameters,
      optimiserSettings.parse({ learningRate: 1e-3, weightDecay: 0.01, clipNorm: 1 }),
    );
    const expected = file.meta.float64 as { loss: number; gradientNorm: number }[];
    for (let index = 1; index <= 10; index += 1) {
      const losses = await step.run(index, [micro], gradients);
      const norm = optimiser.step(gradients, index, 1e-3);
      student.refreshTernary();
      expect(Math.abs(losses.total / expected[index - 1]!.loss - 1), `loss at step ${index}`).toBeLessThan(tolerance);
      expect(Math.abs(norm / expected[index - 1]!.gradientNorm - 1), `norm at step ${index}`).toBeLessThan(tolerance);
      if (index === 1 || index === 10)
        for (const { name: parameter } of student.parameters.specifications) {
          if (!file.has(`step${index}.${parameter}`)) continue;
          expect(
            note(
              `parameters after step ${index} (${ternary ? 'ternary' : 'full precision'})`,
              relativeError(student.parameters.view(parameter), await file.read(`step${index}.${parameter}`)),
            ),
            parameter,
          ).toBeLessThan(tolerance);
        }
    }
    await file.close();
  });
});

afterAll(() => {
  const lines = Object.entries(largest).map(([kind, error]) => `  ${kind}: ${error.toExponential(1)}`);
  process.stdout.write(`largest relative error (L2) against PyTorch float64:\n${lines.join('\n')}\n`);
});
