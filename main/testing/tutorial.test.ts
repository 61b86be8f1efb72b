/** The figures of docs/tutorial-bitlinear.md, computed with the code that the page explains. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { plainQuantisation } from '../contract/quantisation.ts';
import { native } from '../../native/index.ts';
import { TernaryMatrix } from '../../native/runtime.ts';
import { openGguf, writeGguf } from '../formats/gguf/index.ts';
import { differentiate } from '../graph/differentiate.ts';
import { Graph } from '../graph/graph.ts';
import { quantiseActivation, rmsNorm, ternaryLinear } from '../graph/operations.ts';
import { program } from '../graph/passes.ts';
import { createSession } from '../graph/session.ts';
import { encodeTensor } from '../pipeline/export/gguf-encoding.ts';
import type { GgufTensorPlan } from '../pipeline/export/gguf-layout.ts';
import type { TensorSource } from '../pipeline/export/tensor-source.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/tutorial-bitlinear.md', import.meta.url)), 'utf8');

/** The blocks of the page under marks of one kind, by name. */
function blocks(kind: 'figure' | 'hexdump'): Map<string, string> {
  const found = page.matchAll(/<!-- (figure|hexdump): ([^\n]+?) -->\n```\n(.*?)\n```/gs);
  return new Map([...found].filter((match) => match[1] === kind).map((match) => [match[2]!, match[3]!]));
}

const figures = blocks('figure');
const words = (name: string): string[] => figures.get(name)!.trim().split(/\s+/);
const written = (name: string): number[] => words(name).map(Number);

/** The largest rounding error that a figure's digits leave. */
const halfStep = (word: string): number => 0.5 * 10 ** -(word.split('.')[1]?.length ?? 0);

const tokens = 2;
const inputs = 4;
const outputs = 2;
const epsilon = 1e-6;
const bindings = { B: 1, T: tokens };
const folder = mkdtempSync(join(tmpdir(), 'tritsmith-tutorial-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Ternary values of a latent matrix and their scale. */
function quantise(latent: Float32Array): { values: Float32Array; delta: number } {
  const values = new Float32Array(latent.length);
  const { delta } = native.quantiseTernary(latent, values);
  return { values, delta };
}

/** SubLN and BitLinear of the page in the training engine, forward and backward. */
async function train(latent: Float32Array, h: Float32Array, dy: Float32Array): Promise<Record<string, Float32Array>> {
  const { values, delta } = quantise(latent);
  const transposed = new Int8Array(values.length);
  native.transposeTernary(values, inputs, transposed);
  const graph = new Graph('tutorial');
  const input = graph.input('h', ['B', 'T', inputs]);
  const norm = graph.input('g', [inputs]);
  const weight = {
    values: graph.input('values', [outputs, inputs]),
    transposed: graph.input('transposed', [inputs, outputs], 'int8'),
    delta: graph.input('delta', [1]),
  };
  const x = rmsNorm(graph, input, norm, epsilon);
  const quantised = quantiseActivation(graph, x);
  const y = ternaryLinear(graph, quantised, weight);
  const gradients = differentiate(graph, new Map([[y, graph.input('dy', y.shape)]]), [input, norm, x, weight.values]);
  const wanted = {
    x,
    xi: quantised.integers,
    s: quantised.scale,
    y,
    dx: gradients.get(x)!,
    dW: gradients.get(weight.values)!,
    dh: gradients.get(input)!,
    dg: gradients.get(norm)!,
  };
  const session = await createSession(program('tutorial', graph, wanted), { threads: 1 });
  const results = Object.fromEntries(
    Object.entries({ x: 8, xi: 8, s: 2, y: 4, dx: 8, dW: 8, dh: 8, dg: 4 }).map(([name, size]) => [
      name,
      new Float32Array(size),
    ]),
  );
  const feeds = { h, g: new Float32Array(inputs).fill(1), values, transposed, delta: Float32Array.of(delta), dy };
  await session.run(bindings, feeds, results);
  await session.release();
  return results;
}

/** The matrix of section 8. */
const rows = 4;
const columns = 128;
function repeated(latent: Float32Array): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return latent[(row % outputs) * inputs + ((column + Math.floor(column / 32)) % inputs)]!;
  });
}

function hexdump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const hex = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.join(' ')}`);
  }
  return lines.join('\n');
}

const latent = Float32Array.from(written('W'));
const computed = await train(latent, Float32Array.from(written('h')), Float32Array.from(written('dy')));

/** Everything that the page shows and does not choose. */
function computedFigures(): Record<string, ArrayLike<number>> {
  const now = quantise(latent);
  const later = latent.map((value, index) => value - 0.5 * computed.dW![index]!);
  const after = quantise(later);
  const sums = new TernaryMatrix(Int8Array.from(now.values), { rows: outputs, columns: inputs });
  const whole = new Float32Array(tokens * outputs);
  sums.multiply(computed.x!, whole, tokens);
  return {
    ...computed,
    delta: [now.delta],
    T: now.values,
    // The runtime's product over the scales, which is a whole number.
    sums: whole.map((value, index) => value / computed.s![Math.floor(index / outputs)]!),
    'W after': later,
    'delta after': [after.delta],
    'T after': after.values,
  };
}

describe('docs/tutorial-bitlinear.md', () => {
  const chosen = ['h', 'W', 'dy'];
  const expected = computedFigures();

  it('shows nothing that is not computed here, and all of it', () => {
    expect([...figures.keys()].sort()).toEqual([...chosen, ...Object.keys(expected)].sort());
  });

  it.each(Object.keys(expected))('has the figures of %s', (name) => {
    const values = Array.from(expected[name]!);
    expect(words(name)).toHaveLength(values.length);
    for (const [index, word] of words(name).entries())
      expect(Math.abs(Number(word) - values[index]!), `${name}: ${word}, computed ${values[index]}`).toBeLessThan(
        halfStep(word) * 1.001,
      );
  });

  it('says which weights flip in the step', () => {
    const kept = quantise(latent).values;
    expect(native.quantiseTernary(Float32Array.from(expected['W after'] as Float32Array), kept).flips).toBe(2);
    expect(page).toContain('Two of the eight weights **flipped**');
  });

  it('gives the same bits in the training engine and in the kernels of the runtime', () => {
    const { values, delta } = quantise(latent);
    const y = new Float32Array(tokens * outputs);
    new TernaryMatrix(Int8Array.from(values), { rows: outputs, columns: inputs, delta }).multiply(
      computed.x!,
      y,
      tokens,
    );
    expect(y).toEqual(computed.y);
  });

  it('shows the bytes that the export writes', async () => {
    const large = repeated(latent);
    const plan: GgufTensorPlan = {
      name: 'blk.0.ffn_down.weight',
      shape: [rows, columns],
      source: 'down',
      kind: 'linear',
      permuteHeads: null,
      quantisation: plainQuantisation,
    };
    const source: TensorSource = { read: () => Promise.resolve(large), close: () => Promise.resolve() };
    const path = join(folder, 'tutorial.gguf');
    await writeGguf(path, new Map(), encodeTensor(plan, source, { linear: 'I2_S', embedding: 'F16' }));
    const file = await openGguf(path);
    const bytes = await file.readBytes(plan.name);
    await file.close();
    expect(hexdump(bytes)).toBe(blocks('hexdump').get('I2_S'));
    // As the tutorial says: 128 weights in 32 bytes, the first 32 in the highest bits; the scale follows all of them.
    const ternary = Float32Array.from(large, (_, index) => {
      const byte = bytes[(index >> 7) * 32 + (index & 31)]!;
      return ((byte >> (6 - 2 * ((index >> 5) & 3))) & 3) - 1;
    });
    const scale = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(large.length / 4, true);
    expect({ ternary, scale }).toEqual({
      ternary: repeated(quantise(latent).values),
      scale: quantise(latent).delta,
    });
  });
});
