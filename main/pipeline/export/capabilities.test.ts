/** What each type can hold, said from the shape alone. */
import { describe, expect, it } from 'vitest';
import { plainQuantisation } from '../../contract/quantisation.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { tinyConfiguration } from '../../models/fixtures/tiny-model.ts';
import { defaultExportNote, defaultExportType, exportCapabilities, exportObstacle } from './capabilities.ts';

const smol = { hiddenSize: 576, ffnSize: 1536, heads: 9, kvHeads: 3, headSize: 64, vocabSize: 49_152, layers: 30 };
const full = { ternary: false, subln: 'none' } as const;

describe('what an export type makes of a model', () => {
  it.each<[string, Partial<ModelConfiguration>, Record<string, string>]>([
    ['an ordinary Llama', {}, {}],
    ['SmolLM2', smol, { q8_0: '', q4_0: '' }],
    [
      'Qwen2 with SubLN beside its bias',
      { architecture: 'qwen2' },
      Object.fromEntries(['i2_s', 'q2_0', 'tq2_0', 'tq1_0'].map((type) => [type, 'export.bias-beside-subln'])),
    ],
    [
      'Llama with SubLN before all seven',
      { subln: 'all' },
      Object.fromEntries(['i2_s', 'q2_0', 'tq2_0', 'tq1_0'].map((type) => [type, 'export.subln-everywhere'])),
    ],
    [
      'heads that "bitnet" can not say',
      { headSize: 32 },
      Object.fromEntries(['i2_s', 'q2_0', 'tq2_0', 'tq1_0'].map((type) => [type, 'export.bitnet-shape'])),
    ],
    ['a teacher whose rows 32 does not divide', { ffnSize: 400 }, { q8_0: 'packing.row', q4_0: 'packing.row' }],
    [
      'rows that four do not divide',
      { ffnSize: 510 },
      { hf: 'export.folder-rows', q8_0: 'packing.row', q4_0: 'packing.row' },
    ],
    [
      'a scale for each row',
      { quantisation: { weights: { scale: 'absmean', group: 'row' } } },
      { i2_s: 'export.one-scale', hf: 'export.one-scale' },
    ],
    [
      'a scale for each 64 columns',
      { quantisation: { weights: { scale: 'absmean', group: 64 } } },
      {
        i2_s: 'export.one-scale',
        hf: 'export.one-scale',
        tq2_0: 'export.scale-blocks',
        tq1_0: 'export.scale-blocks',
      },
    ],
    ['absmedian', { quantisation: { weights: { scale: 'absmedian', group: 'tensor' } } }, {}],
    ['learned scales', { quantisation: { weights: { scale: 'learned', group: 'tensor' } } }, {}],
    [
      'a learned scale for each row',
      { quantisation: { weights: { scale: 'learned', group: 'row' } } },
      { i2_s: 'export.one-scale', hf: 'export.one-scale' },
    ],
    [
      'turned inputs of 4 bits, a scale for each row, odd rows',
      {
        ffnSize: 736,
        quantisation: {
          weights: { scale: 'absmean', group: 'row' },
          activations: { hadamard: true, bits: 4 },
        },
      },
      {
        q2_0: 'export.activations',
        tq2_0: 'export.activations',
        tq1_0: 'export.activations',
        hf: 'export.activations',
      },
    ],
    [
      'exactly three of four weights, odd rows, a scale for each 64 columns',
      {
        hiddenSize: 192,
        ffnSize: 448,
        heads: 3,
        kvHeads: 1,
        headSize: 64,
        quantisation: { weights: { scale: 'absmean', group: 64, sparsity: 'exactly-3:4' } },
      },
      {
        i2_s: 'export.one-scale',
        hf: 'export.one-scale',
        tq2_0: 'export.scale-blocks',
        tq1_0: 'export.scale-blocks',
      },
    ],
    [
      'the same with turned inputs of 4 bits, SubLN before all seven and any shape',
      {
        ffnSize: 736,
        subln: 'all',
        quantisation: {
          weights: { scale: 'absmean', group: 'row', sparsity: 'exactly-3:4' },
          activations: { hadamard: true, bits: 4 },
        },
      },
      {
        q2_0: 'export.activations',
        tq2_0: 'export.activations',
        tq1_0: 'export.activations',
        hf: 'export.activations',
      },
    ],
    ['two of four weights', { quantisation: { weights: { scale: 'absmean', group: 'tensor', sparsity: '2:4' } } }, {}],
  ])('%s', (_title, changes, expected) => {
    const student = tinyConfiguration(changes);
    const found = exportCapabilities(student, { ...student, ...full });
    const obstacles = found.flatMap(({ type, obstacle }) => (obstacle === null ? [] : [[type, obstacle.id]]));
    // Only weights that were trained so fit T3_4.
    const { sparsity } = student.quantisation.weights;
    const others = sparsity === 'exactly-3:4' ? {} : { t3_4: 'export.three-of-four' };
    expect(Object.fromEntries(obstacles)).toEqual(
      Object.fromEntries(Object.entries({ ...others, ...expected }).filter(([, id]) => id !== '')),
    );
    for (const { obstacle } of found) expect(obstacle?.text ?? 'none').toMatch(/\w/);
  });

  it('and what padding costs: SmolLM2 as I2_S 1.6 times the body and a third more embedding, as Q2_0 nothing', () => {
    const found = exportCapabilities(tinyConfiguration(smol), tinyConfiguration({ ...smol, ...full }));
    const paddings = Object.fromEntries(found.map(({ type, padding }) => [type, padding]));
    const body = (d: number, heads: number, kvHeads: number): number =>
      30 * (2 * d * heads * 64 + 2 * d * kvHeads * 64 + 3 * d * 1536);
    expect(paddings['i2_s']).toEqual({
      bodyBytes: (body(768, 12, 4) - body(576, 9, 3)) / 4,
      tableBytes: 49_152 * (768 - 576) * 2,
    });
    expect(paddings['q2_0']).toBeNull();
    expect(paddings['f16']).toBeNull();
  });

  it('an embedding may need what the layers do not', () => {
    const dense = tinyConfiguration({ ...full, hiddenSize: 288 });
    expect(exportObstacle({ type: 'f16', embedding: 'f16' }, dense)).toBeNull();
    expect(exportObstacle({ type: 'f16', embedding: 'q6_k' }, dense)).toMatchObject({ id: 'packing.row' });
    // A student's file is padded for it.
    expect(
      exportObstacle(
        { type: 'i2_s', embedding: 'q6_k' },
        tinyConfiguration({ hiddenSize: 288, heads: 9, kvHeads: 3, headSize: 32 }),
      ),
    ).toBeNull();
  });
});

describe('the export that nobody asked for', () => {
  it.each<[string, Partial<ModelConfiguration>, string, string | null]>([
    ['an ordinary shape', {}, 'i2_s', null],
    ['SmolLM2: Q2_0, as I2_S would be padded', smol, 'q2_0', 'teacher.padded'],
    [
      'widths that neither divides: I2_S, padded',
      { hiddenSize: 96, heads: 3, kvHeads: 1, headSize: 32 },
      'i2_s',
      'teacher.padded',
    ],
    ['a student for no GGUF file', { subln: 'all' }, 'hf', 'teacher.no-gguf'],
    [
      'a scale for each row',
      { quantisation: { weights: { scale: 'absmean', group: 'row' } } },
      'q2_0',
      'teacher.no-gguf',
    ],
    [
      'turned inputs',
      { ffnSize: 736, quantisation: { ...plainQuantisation, activations: { hadamard: true, bits: 8 } } },
      'i2_s',
      null,
    ],
  ])('%s', (_title, changes, type, note) => {
    const student = tinyConfiguration(changes);
    expect(defaultExportType(student)).toBe(type);
    expect(defaultExportNote(student)?.id ?? null).toBe(note);
  });
});
