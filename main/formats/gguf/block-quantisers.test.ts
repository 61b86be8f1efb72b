import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packQ4, packQ6 } from './block-quantisers.ts';
import { packQ8 } from './quantised.ts';

const golden = JSON.parse(readFileSync(new URL('golden/ggml.json', import.meta.url), 'utf8')) as {
  values: string;
  packed: Record<'Q4_0' | 'Q8_0' | 'Q6_K', string>;
};
const values = new Float32Array(Uint8Array.from(Buffer.from(golden.values, 'hex')).buffer);

test.each([
  ['Q4_0', packQ4, 18],
  ['Q8_0', packQ8, 34],
  ['Q6_K', packQ6, 210],
] as const)("%s has the bytes of ggml's own quantiser", (name, pack, blockBytes) => {
  const ours = pack(values);
  const theirs = Uint8Array.from(Buffer.from(golden.packed[name], 'hex'));
  expect(ours.length).toBe(theirs.length);
  const differing = [...ours.keys()].filter((index) => ours[index] !== theirs[index]);
  expect(differing.map((index) => Math.floor(index / blockBytes))).toEqual([]);
});

test.each([
  [packQ4, 48],
  [packQ6, 128],
])('lengths that are no whole blocks are refused', (pack, length) => {
  expect(() => pack(new Float32Array(length))).toThrowError(/can't be stored as/);
});
