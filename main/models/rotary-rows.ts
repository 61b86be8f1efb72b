/** The order of rotary rows: half-split on Hugging Face, interleaved in GGUF files of the `llama` architecture. */

/** Calls `visit` with the first value of each row in half-split order (Hugging Face) and in interleaved order (`llama`). */
function rotaryRows(
  length: number,
  heads: number,
  columns: number,
  visit: (halfSplit: number, interleaved: number) => void,
): void {
  const headSize = length / (heads * columns);
  const half = headSize / 2;
  for (let head = 0; head < heads; head += 1)
    for (let index = 0; index < half; index += 1)
      for (let part = 0; part < 2; part += 1)
        visit((head * headSize + part * half + index) * columns, (head * headSize + 2 * index + part) * columns);
}

/**
 * Rows of a query or key matrix `[heads * D, K]`, or values of its bias (K = 1), from the half-split order of Hugging Face to the interleaved order of the
 * `llama` architecture: row `i + j * D/2` of a head becomes row `2 i + j`.
 */
export function permuteRotaryRows(values: Float32Array, heads: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  rotaryRows(values.length, heads, columns, (halfSplit, interleaved) => {
    result.set(values.subarray(halfSplit, halfSplit + columns), interleaved);
  });
  return result;
}

/** The inverse of `permuteRotaryRows`. */
export function unpermuteRotaryRows(values: Float32Array, heads: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  rotaryRows(values.length, heads, columns, (halfSplit, interleaved) => {
    result.set(values.subarray(interleaved, interleaved + columns), halfSplit);
  });
  return result;
}
