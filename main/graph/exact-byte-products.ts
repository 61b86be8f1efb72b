/** Whether ONNX Runtime multiplies bytes exactly on this processor. */
import { Graph } from './graph.ts';
import { program } from './passes.ts';
import { createSession } from './session.ts';

let answer: Promise<boolean> | undefined;

async function measure(): Promise<boolean> {
  const [length, width] = [64, 16];
  const graph = new Graph('byte products');
  const one = graph.constant(1);
  const inputs = [graph.input('a', [1, length], 'uint8'), graph.input('b', [length, width], 'int8'), one, one];
  const product = graph.node1('MatMulIntegerToFloat', inputs, [1, width], { domain: 'com.microsoft' });
  const session = await createSession(program('byte products', graph, { product }), { threads: 1 });
  const result = new Float32Array(width);
  const feeds = { a: new Uint8Array(length).fill(255), b: new Int8Array(length * width).fill(127) };
  await session.run({}, feeds, { product: result });
  await session.release();
  return result.every((value) => value === 255 * 127 * length);
}

/**
 * Processors without integer dot products (x86 before AVX-VNNI) add pairs of products in 16 bits, where large ones saturate. Products with
 * ternary weights are exact everywhere; gradients in 16-bit fixed point need this to be true. Measured once, in some milliseconds.
 */
export function exactByteProducts(): Promise<boolean> {
  return (answer ??= measure());
}
