/** A Hadamard matrix, which spreads what stands out in one channel over many (BitNet v2). */
import type { Graph, Value } from '../graph.ts';
import { lastOf, matmul } from './basic.ts';

/** Sylvester's matrix of ones with signs, `[size, size]`: symmetric, and its square is `size` times the identity. */
function signs(graph: Graph, size: number): Value {
  const sign = (row: number, column: number): number => {
    let odd = false;
    for (let both = row & column; both !== 0; both &= both - 1) odd = !odd;
    return odd ? -1 : 1;
  };
  const values = Array.from({ length: size ** 2 }, (_, at) => sign(Math.floor(at / size), at % size));
  return graph.constant(values, [size, size]);
}

/**
 * x `[..., K]` with each block of `block` columns, a power of two that divides K, times the orthonormal Hadamard matrix (docs/method.md, 2.9); x itself for 1.
 * A block is taken as a matrix X `[a, b]`, where the product is `H_a X H_b`: two small products instead of one as wide as the block. The matrix is symmetric
 * and its own inverse, so the gradient goes through the same operation.
 */
export function hadamard(graph: Graph, x: Value, block: number): Value {
  if (block === 1) return x;
  const width = lastOf(x);
  if (typeof width !== 'number' || !Number.isInteger(Math.log2(block)) || width % block !== 0)
    throw new Error(`hadamard of ${x.name}: blocks of ${block} in ${width} columns`);
  const b = 2 ** Math.ceil(Math.log2(block) / 2);
  const a = block / b;
  const leading = x.shape.slice(0, -1);
  const shaped = (value: Value, ...last: number[]): Value =>
    graph.node1('Reshape', [value, graph.integers([...leading.map(() => 0), ...last])], [...leading, ...last], {
      cheap: true,
    });
  const apply = (value: Value): Value => {
    const rows = shaped(value, width / b, b);
    const across = matmul(graph, rows, signs(graph, b), rows.shape, { alpha: 1 / Math.sqrt(block) });
    if (a === 1) return shaped(across, width);
    const matrices = shaped(across, width / block, a, b);
    return shaped(matmul(graph, signs(graph, a), matrices, matrices.shape), width);
  };
  const y = apply(x);
  graph.record([x], [y], ([dy]) => [apply(dy!)]);
  return y;
}
