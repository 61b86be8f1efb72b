/** Every operation on a graphics card: against ONNX Runtime on the processor, and against finite differences. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cardForTests, needsCard, webGpuForTests } from '../../testing/webgpu.ts';
import type { Backend, ElementBuffer } from '../backend.ts';
import { differentiate } from '../differentiate.ts';
import { largestDeviation, prepareCase } from '../gradient-check.ts';
import { Graph, type Value } from '../graph.ts';
import { attentionCase, noise, operationCases, ternaryCase } from '../operation-cases.ts';
import { linear, rmsNorm, wholeRow } from '../operations.ts';
import { program, splitPasses } from '../passes.ts';
import { createSession } from '../session.ts';
import { compileProgram } from './compile.ts';
import { findWebGpu, requestCard, webGpuFolder } from './component.ts';
import { Device } from './device.ts';
import { Product } from './dimensions.ts';
import { checkCard, distance, identityOf, keptVerdict, openTrustedCard } from './trust.ts';
import { webGpuBackend } from './webgpu-backend.ts';

function mkdirs(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}

describe.skipIf(webGpuForTests() === null)(`operations on a graphics card ${needsCard}`, () => {
  let device: Device;
  let backend: Backend;
  beforeAll(async () => {
    ({ device, backend } = await cardForTests());
  });
  afterAll(() => {
    device.close();
  });

  it.each(operationCases)('$name: as on the processor, forward and backward', async (operation) => {
    const [processor, card] = [{ threads: 1 }, { threads: 1, backend }];
    const expected = await prepareCase(operation, false, processor);
    const found = await prepareCase(operation, false, card);
    expect(distance(await expected.runForward(), await found.runForward())).toBeLessThan(1e-6);
    const gradients = await expected.runBackward();
    const own = await found.runBackward();
    for (const [name, gradient] of Object.entries(gradients))
      expect(distance(gradient, own[name]!), name).toBeLessThan(2e-6);
    await expected.release();
    await found.release();
  });

  it.each(operationCases)('$name: gradients against central finite differences', async (operation) => {
    const worst = await largestDeviation(operation, { threads: 1, backend }, 8);
    expect(worst.units, JSON.stringify(worst)).toBeLessThan(1);
  });

  it('keeps arrays on the card: uploaded once, read when asked, added to there, and never mixed up with what waits', async () => {
    const { memory } = backend;
    const graph = new Graph('twice');
    const x = graph.input('x', ['n']);
    const y = graph.node1('Add', [x, x], ['n']);
    const twice = await createSession(program('twice', graph, { y }), { threads: 1, backend });
    const run = (from: Float32Array, to: Float32Array): Promise<void> =>
      twice.run({ n: from.length }, { x: from }, { y: to });
    const n = 100;
    const values = Float32Array.from({ length: 3 * n }, (_, index) => index);
    const [a, b, c] = [0, 1, 2].map((part) => values.subarray(part * n, (part + 1) * n)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    memory.keep(a, b, c);
    // The length of the arrays is uploaded once.
    await run(new Float32Array(n), new Float32Array(n));
    device.takeCounts();
    await run(a, b);
    // The same place is read and written.
    await run(b, b);
    await run(b, c);
    await memory.add(c, a);
    expect(device.takeCounts()).toMatchObject({
      uploadedBytes: 4 * n,
      downloadedBytes: 0,
      submissions: 0,
      dispatches: 4,
    });
    expect([...c.subarray(0, 2)]).toEqual([2 * n, 2 * n + 1]);
    // What waits is computed with what was there when it was asked for, and what comes with the new values.
    a.fill(-1);
    memory.changed(values.subarray(0, 50));
    await run(a, b);
    await memory.read(b, c);
    expect([...c]).toEqual(Array.from({ length: n }, (_, index) => 9 * index));
    expect(b.every((value) => value === -2)).toBe(true);
    expect(device.takeCounts()).toMatchObject({ uploadedBytes: 4 * n, downloadedBytes: 8 * n, submissions: 2 });
    // Uploads of what is not kept take no buffer that a waiting command uses.
    const loose = Float32Array.from({ length: n }, (_, index) => index);
    await run(loose, b);
    await run(new Float32Array(n).fill(7), c);
    memory.zero(a);
    await memory.addRows(a, Int32Array.of(3, 0, 3), 20, b.subarray(0, 60), -1);
    await memory.read(a, b, c);
    expect([...b]).toEqual([...loose].map((value) => 2 * value));
    expect(c.every((value) => value === 14)).toBe(true);
    expect([...a]).toEqual(
      Array.from({ length: n }, (_, index) =>
        index < 20 ? -2 * (20 + index) : index >= 60 && index < 80 ? -2 * (index - 60) - 2 * (index - 20) : 0,
      ),
    );
    memory.drop(values);
    await run(loose, c);
    expect([...c]).toEqual([...b]);
    await twice.release();
  });

  async function onBoth(
    graph: Graph,
    results: Record<string, Value>,
    sizes: Record<string, number>,
    feeds: Record<string, ElementBuffer>,
    counts: Record<string, number>,
    card = backend,
  ) {
    const outcome = [];
    for (const each of [undefined, card]) {
      const session = await createSession(program('both', graph, results), { threads: 1, backend: each });
      const out = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, new Float32Array(count)]));
      await session.run(sizes, feeds, out);
      await session.release();
      outcome.push(out);
    }
    return outcome as [Record<string, Float32Array>, Record<string, Float32Array>];
  }

  it.each([
    ['one scale', [1], 'bytes', 201, 70],
    ['one scale, four bytes at once', [1], 'words', 204, 72],
    ['one scale, four bytes at once, larger than a tile', [1], 'words', 100, 164],
    ['a scale for each row', [70], 'bytes', 201, 70],
    ['a scale for each group of columns', [70, 3, 1], 'float32', 201, 70],
  ] as const)(
    'ternary layers, %s: sums of whole numbers are the same bits',
    async (...[, shape, way, width, outputs]) => {
      const sizes = { rows: 75, width, outputs };
      const { graph, results, feeds, counts } = ternaryCase(sizes, shape, way !== 'float32');
      const { kernels } = compileProgram(program('bitlinear', graph, results), 10, device.features);
      expect(kernels.some(({ code }) => code.includes('dot4I8Packed'))).toBe(way === 'words');
      const [expected, found] = await onBoth(graph, results, { B: 3, T: 25 }, feeds, counts);
      expect(found.xi).toEqual(expected.xi);
      expect(found.output).toEqual(expected.output);
      expect(distance(expected.dx!, found.dx!)).toBeLessThan(1e-6);
      expect(distance(expected.dw!, found.dw!)).toBeLessThan(1e-6);
    },
  );

  it('products larger than a tile, with edges, in both directions', async () => {
    const [rows, width, outputs] = [130, 97, 141];
    const random = noise(5);
    const graph = new Graph('linear');
    const x = graph.input('x', ['B', 'T', width]);
    const weight = graph.input('weight', [outputs, width]);
    const y = linear(graph, x, weight);
    const gradients = differentiate(graph, new Map([[y, graph.input('dy', y.shape)]]), [x, weight]);
    const results = { y, dx: gradients.get(x)!, dw: gradients.get(weight)! };
    const fill = (count: number): Float32Array => new Float32Array(count).map(random);
    const feeds = { x: fill(rows * width), weight: fill(outputs * width), dy: fill(rows * outputs) };
    const counts = { y: rows * outputs, dx: rows * width, dw: outputs * width };
    const [expected, found] = await onBoth(graph, results, { B: 2, T: 65 }, feeds, counts);
    for (const name of ['y', 'dx', 'dw']) expect(distance(expected[name]!, found[name]!), name).toBeLessThan(2e-6);
  });

  it('attention of heads of 128 is as on the processor, forward and backward, when it is computed again too', async () => {
    const wide = attentionCase('wide', { heads: 2, kvHeads: 1, headSize: 128 }, wholeRow, { B: 2, T: 45 });
    const expected = await prepareCase(wide, false, { threads: 1 });
    const found = await prepareCase(wide, true, { threads: 1, backend });
    expect(distance(await expected.runForward(), await found.runForward())).toBeLessThan(1e-6);
    const own = await found.runBackward();
    for (const [name, gradient] of Object.entries(await expected.runBackward()))
      expect(distance(gradient, own[name]!), name).toBeLessThan(2e-6);
    await expected.release();
    await found.release();
  });

  it('the same inputs give the same bits again', async () => {
    const operation = operationCases.find(({ name }) => name.startsWith('attention (many'))!;
    const runs = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const ready = await prepareCase(operation, false, { threads: 1, backend });
      await ready.runForward();
      runs.push(await ready.runBackward());
    }
    expect(runs[1]).toEqual(runs[0]);
  });

  it('batches of another length need no other kernels', async () => {
    const graph = new Graph('norm');
    const x = graph.input('x', ['B', 'T', 8]);
    const y = rmsNorm(graph, x, graph.input('weight', [8]), 1e-5);
    const session = await createSession(program('norm', graph, { y }), { threads: 1, backend });
    const pipelines = device.pipelineCount;
    for (const T of [1, 7, 300]) {
      const feeds = { x: new Float32Array(2 * T * 8).fill(3), weight: new Float32Array(8).fill(0.5) };
      const out = new Float32Array(2 * T * 8);
      await session.run({ B: 2, T }, feeds, { y: out });
      for (const value of out) expect(value).toBeCloseTo(0.5, 5);
    }
    expect(device.pipelineCount).toBe(pipelines);
  });

  it('a card that computes rightly is trusted, once for a driver', async () => {
    const components = mkdtempSync(join(tmpdir(), 'tritsmith-card-'));
    try {
      // As installed, but with no verdict yet.
      symlinkSync(join(webGpuForTests()!, 'node_modules'), join(mkdirs(webGpuFolder(components)), 'node_modules'));
      const folder = findWebGpu(components)!;
      const card = identityOf(device.adapter);
      expect(keptVerdict(folder, card)).toBeNull();
      const checked: string[] = [];
      for (let turn = 0; turn < 2; turn += 1) {
        const opened = await openTrustedCard(({ name }) => checked.push(name), components);
        expect(opened.verdict).toMatchObject({ card, failed: null, operations: operationCases.length + 2 });
        opened.device.close();
      }
      expect(checked).toEqual([card.name]);
      expect(keptVerdict(folder, { ...card, driver: 'another' })).toBeNull();
      // What a card that failed leaves: it is refused with the operation's name, and not checked again.
      const failed = { operation: 'rmsNorm', problem: 'its values are off by 3.0e-1 of the largest' };
      writeFileSync(join(folder, 'verdicts.json'), JSON.stringify([{ ...keptVerdict(folder, card), failed }]));
      await expect(openTrustedCard(undefined, components)).rejects.toThrow(/computes wrongly.*: rmsNorm\./);
    } finally {
      rmSync(components, { recursive: true });
    }
  });

  it('a card whose driver computes one operation wrongly fails with its name', async () => {
    /** The same kernels, with the inverse of the norm as drivers were seen to hand it out: the mean. */
    const wrong: Backend = {
      ...backend,
      createSession: async (each, options) => {
        const session = await backend.createSession(each, options);
        return {
          program: each,
          release: () => session.release(),
          run: async (sizes, feeds, results) => {
            await session.run(sizes, feeds, results);
            const inverse = Object.entries(results).find(([name]) => name.startsWith('kept.SimplifiedLayer'));
            if (inverse) inverse[1].fill(0.5 as never);
          },
        };
      },
    };
    const { failed } = await checkCard(identityOf(device.adapter), wrong);
    expect(failed?.operation).toBe('rmsNorm');
    expect(failed?.problem).toMatch(/^grad\.x is off by/);
  });

  it('an operator without a kernel is refused by its name', async () => {
    const graph = new Graph('cast');
    const x = graph.input('x', ['B']);
    const y = graph.node1('Cast', [x], x.shape, { attributes: { to: { int: 10 } } });
    await expect(createSession(program('cast', graph, { y }), { threads: 1, backend })).rejects.toThrow(
      'there is no kernel for Cast',
    );
  });

  it('a buffer that the card does not take is refused in words', () => {
    expect(() => device.take(2 ** 40)).toThrow(/The graphics card takes no piece of/);
  });

  it.each(['with', 'without'])('sums, extremes and softmax of rows %s subgroups', async (way) => {
    const adapter = (await requestCard(webGpuForTests()!))!;
    const own = await Device.open(adapter, way === 'with' ? [] : ['subgroups']);
    const uses = way === 'with' && adapter.features.has('subgroups');
    expect(own.features.subgroups).toBe(uses);
    const width = 150;
    const graph = new Graph('rows');
    const x = graph.input('x', ['n', width]);
    const axis = graph.integers([-1]);
    const results = Object.fromEntries([
      ...['ReduceSum', 'ReduceSumSquare', 'ReduceMax', 'ReduceMin'].map((operator) => [
        operator,
        graph.node1(operator, [x, axis], ['n', 1]),
      ]),
      ...['Softmax', 'LogSoftmax'].map((operator) => [operator, graph.node1(operator, [x], x.shape)]),
    ]) as Record<string, Value>;
    const { kernels } = compileProgram(program('rows', graph, results), 8, own.features);
    const codes = kernels.map(({ code }) => code.startsWith('enable subgroups;'));
    expect(codes).toEqual(codes.map(() => uses));
    const random = noise(4);
    // No row has a 0 as its largest or smallest value, which a kernel that begins at 0 would make.
    const feeds = { x: new Float32Array(7 * width).map((_, at) => random() + (at < 3 * width ? 40 : -40)) };
    const counts = Object.fromEntries(
      Object.entries(results).map(([name, { shape }]) => [name, 7 * (shape[1] as number)]),
    );
    const [processor, card] = await onBoth(graph, results, { n: 7 }, feeds, counts, webGpuBackend(own));
    for (const [name, values] of Object.entries(processor))
      expect(distance(values, card[name]!), name).toBeLessThan(1e-6);
    own.close();
  });

  it('asks for what a card has done once a millisecond, not as often as a core can', async () => {
    const asked = async (bind: (call: () => void) => () => void): Promise<number> => {
      let calls = 0;
      const end = performance.now() + 60;
      await new Promise<void>((resolve) => {
        const ask = bind(() => {
          calls += 1;
          if (performance.now() < end) globalThis.setImmediate(ask);
          else resolve();
        });
        globalThis.setImmediate(ask);
      });
      return calls;
    };
    // Bound functions have no text, as those of native code have none.
    const patient = await asked((call) => call.bind(null));
    expect(await asked((call) => call)).toBeGreaterThan(4 * patient);
  });

  it('a card that is lost says so at the next run', async () => {
    const { device: another, backend: onAnother } = await cardForTests();
    const ready = await prepareCase(operationCases[0]!, false, { threads: 1, backend: onAnother });
    another.close();
    await expect(ready.runForward()).rejects.toThrow('The graphics card was lost in the middle of the work.');
  });
});

it('attention on a card makes no value of T x T numbers in either pass, and its kernels have no more buffers than every card takes', () => {
  const { build } = operationCases.find(({ name }) => name.startsWith('attention'))!;
  for (const streamsAttention of [false, true]) {
    const graph = new Graph('attention', { streamsAttention });
    const { output, wanted } = build(graph);
    const forwardNodes = graph.nodes.length;
    const gradients = differentiate(graph, new Map([[output, graph.input('seed', output.shape)]]), wanted);
    const named = Object.fromEntries([...gradients].map(([{ name }, value]) => [`grad.${name}`, value]));
    const { forward, backward } = splitPasses('attention', graph, forwardNodes, { output }, named, true);
    for (const each of [forward, backward]) {
      const { kernels, values } = compileProgram(each, 8, { subgroups: false, byteProducts: false });
      const squares = [...values.values()].filter(
        ({ shape }) => new Product(shape).names.filter((name) => name === 'T').length > 1,
      );
      expect(squares.length === 0).toBe(streamsAttention);
      if (!streamsAttention) continue;
      for (const { label, reads, writes } of kernels)
        expect(reads.length + writes.length, label).toBeLessThanOrEqual(8);
      expect(kernels.map(({ label }) => label)).toEqual([
        'StreamedAttention',
        ...(each === backward ? ['StreamedAttentionRows', 'StreamedAttentionQueries', 'StreamedAttentionKeys'] : []),
      ]);
    }
  }
});

it('element-by-element nodes join the product before them: attention of ONNX Runtime has no kernel for a scale alone', () => {
  const { build } = operationCases.find(({ name }) => name.startsWith('attention'))!;
  const graph = new Graph('attention');
  const { output } = build(graph);
  const labels = compileProgram(program('attention', graph, { output }), 10, {
    subgroups: false,
    byteProducts: false,
  }).kernels.map(({ label }) => label);
  expect(labels).toContain('FusedMatMul Add');
  expect(labels.filter((label) => label === 'Add')).toEqual([]);
});
