import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import { dequantiseBlocks, readableTypes } from './quantised.ts';
import { openGguf } from './reader.ts';
import { packThreeOfFour, unpackThreeOfFour } from './three-of-four.ts';
import { tensorTypeById, tensorTypeTitle } from './tensor-types.ts';

const golden = JSON.parse(readFileSync(new URL('golden/types.json', import.meta.url), 'utf8')) as {
  /** By number: name, values in a block, bytes of a block. */
  types: Record<string, [string, number, number]>;
  blocks: Record<string, { bytes: string; values: string }>;
};
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const sizes = Object.entries(golden.types).map(([id, [name, values, bytes]]) => ({
  id: Number(id),
  name,
  values,
  bytes,
}));

test('every type of llama.cpp has its name and size', () => {
  for (const { id, name, values, bytes } of sizes)
    expect(tensorTypeById(id), name).toMatchObject({ name, blockValues: values, blockBytes: bytes, tailBytes: 0 });
  expect(sizes.map(({ name }) => name)).toEqual(expect.arrayContaining(['IQ1_M', 'TQ2_0', 'MXFP4', 'NVFP4', 'Q2_0']));
});

test('what is no type of llama.cpp is said to be of a fork, removed, or unknown', () => {
  expect([36, 31, 142, 143, 99].map(tensorTypeTitle)).toEqual([
    'I2_S',
    'type 31 (removed from llama.cpp)',
    'type 142 (of a fork of llama.cpp)',
    'type 143 (of a fork of llama.cpp)',
    'type 99',
  ]);
});

describe('dequantiseBlocks', () => {
  it.each(Object.entries(golden.blocks))('gives the bits of the reference for %s', (name, { bytes, values }) => {
    const { id } = sizes.find((entry) => entry.name === name)!;
    const expected = new Float32Array(bytesOf(values).buffer);
    const out = new Float32Array(expected.length);
    dequantiseBlocks(tensorTypeById(id)!, bytesOf(bytes), out);
    // -0 and 0 are told apart.
    const differing = [...out.keys()].filter((i) => !Object.is(out[i], expected[i]));
    expect(differing).toEqual([]);
  });

  it('reads a file of the reference writer in all these types', async () => {
    const file = await openGguf(fileURLToPath(new URL('golden/types.gguf', import.meta.url)));
    try {
      expect([...file.tensors.keys()].sort()).toEqual(
        Object.keys(golden.blocks)
          .map((name) => name.toLowerCase())
          .sort(),
      );
      for (const [name, { values }] of Object.entries(golden.blocks))
        expect(await file.readFloat32(name.toLowerCase()), name).toEqual(new Float32Array(bytesOf(values).buffer));
    } finally {
      await file.close();
    }
  });

  it('is proven for every quantised type that is read, and refuses the others by name', () => {
    // Q2_0 is held against ggml itself in gguf.test.ts, T3_4 against its page below.
    const floats = ['F32', 'F16', 'BF16', 'I2_S', 'Q2_0', 'T3_4'];
    expect([...readableTypes].filter((name) => !floats.includes(name)).sort()).toEqual(
      Object.keys(golden.blocks).sort(),
    );
    expect(() => dequantiseBlocks(tensorTypeById(16)!, new Uint8Array(66), new Float32Array(256))).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('IQ2_XXS') as string }),
    );
  });
});

describe('T3_4', () => {
  it('has the bytes that docs/formats.md, 2.7, asks for, worked out by hand', () => {
    const fours = [
      // Patterns 3, 13, 20, 31, 0, 8, 17, 26: eight times the place of the 0, and a bit for each +1 of the others.
      [0, 1, 1, -1],
      [1, 0, -1, 1],
      [-1, -1, 0, 1],
      [1, 1, 1, 0],
      [0, -1, -1, -1],
      [-1, 0, -1, -1],
      [1, -1, 0, -1],
      [-1, 1, -1, 0],
    ].flat();
    const packed = packThreeOfFour(Float32Array.from(fours), 0.75);
    expect(Buffer.from(packed.subarray(0, 5)).toString('hex')).toBe('a3d10f50d4');
    expect(Buffer.from(packed.subarray(5)).toString('hex')).toBe(`0000403f${'00'.repeat(28)}`);
    const back = new Float32Array(32);
    unpackThreeOfFour(packed.subarray(0, 5), back);
    expect([...back]).toEqual(fours);
    expect(() => packThreeOfFour(Float32Array.of(1, 1, 1, 1), 1)).toThrow(
      expect.objectContaining({ id: 'packing.three-of-four' }),
    );
    expect(() => packThreeOfFour(Float32Array.of(1, 0, 0, 1), 1)).toThrow(
      expect.objectContaining({ id: 'packing.three-of-four' }),
    );
  });
});
