/** Comparing logits that two programs compute of one model. */
import { embeddingName, type ParameterBuffer } from '../../models/parameters.ts';

/** What `run` gives with each embedding row of `ids` off by up to `size` of itself. */
export async function nudged<T>(
  parameters: ParameterBuffer,
  width: number,
  ids: Int32Array,
  run: () => Promise<T>,
  size = 2 ** -20,
): Promise<T> {
  const embedding = parameters.view(embeddingName);
  const rows = [...new Set(ids)].map((id) => embedding.subarray(id * width, (id + 1) * width));
  const saved = rows.map((row) => row.slice());
  for (const row of rows) row.forEach((value, at) => (row[at] = value * (1 + (((at * 37) % 17) / 8 - 1) * size)));
  try {
    return await run();
  } finally {
    rows.forEach((row, index) => row.set(saved[index]!));
  }
}

/** Largest difference of two rows of logits. */
export function largestGap(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let index = 0; index < a.length; index += 1) largest = Math.max(largest, Math.abs(a[index]! - b[index]!));
  return largest;
}
