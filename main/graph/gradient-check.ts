/** Holds the gradients of an operation against central finite differences of its own forward pass, on any backend. */
import { type ElementBuffer, elementCount, type EngineOptions, onCard } from './backend.ts';
import { differentiate } from './differentiate.ts';
import { Graph, type Value } from './graph.ts';
import { bindings, noise, type OperationCase } from './operation-cases.ts';
import { splitPasses } from './passes.ts';
import { createSession } from './session.ts';

/** The passes of a case with its inputs. @param recompute nothing is kept from the forward pass */
export async function prepareCase(
  { build, sizes = bindings }: OperationCase,
  recompute: boolean,
  options: EngineOptions,
) {
  const graph = new Graph('case', { streamsAttention: onCard(options) });
  const { output, wanted, fixed = {} } = build(graph);
  const forwardNodes = graph.nodes.length;
  const seed = graph.input('seed', output.shape);
  const gradients = differentiate(graph, new Map([[output, seed]]), wanted);
  const named = Object.fromEntries([...gradients].map(([value, gradient]) => [`grad.${value.name}`, gradient]));
  const passes = splitPasses('case', graph, forwardNodes, { output }, named, recompute);
  const forward = await createSession(passes.forward, options);
  const backward = await createSession(passes.backward, options);
  const random = noise(7);
  const feeds: Record<string, ElementBuffer> = {};
  for (const [name, value] of graph.inputs)
    feeds[name] = fixed[name] ?? new Float32Array(elementCount(value, sizes)).map(() => random() * 1.5);
  const valuesOf = ({ name }: Value): Float32Array => feeds[name] as Float32Array;
  const kept: Record<string, Float32Array> = {};
  for (const value of passes.kept) kept[value.forwardName] = new Float32Array(elementCount(value, sizes));
  const y = kept['output'] ?? new Float32Array(elementCount(output, sizes));
  const runForward = async (): Promise<Float32Array> => {
    await forward.run(sizes, feeds, { output: y, ...kept });
    return y;
  };
  const runBackward = async (): Promise<Record<string, Float32Array>> => {
    const results = Object.fromEntries(
      wanted.map((value) => [`grad.${value.name}`, new Float32Array(elementCount(value, sizes))]),
    );
    const handed = Object.fromEntries(passes.kept.map((value) => [value.name, kept[value.forwardName]!]));
    await backward.run(sizes, { ...feeds, ...handed }, results);
    return results;
  };
  const release = async (): Promise<void> => {
    await forward.release();
    await backward.release();
  };
  return { valuesOf, seed, wanted, passes, runForward, runBackward, release };
}

/** The worst element of a case: how far its gradient is off, in units of what rounding may do (above 1 it is wrong). */
export interface Deviation {
  readonly element: string;
  readonly gradient: number;
  readonly difference: number;
  readonly units: number;
}

/** The largest deviation of a case, over up to so many elements of each input. */
export async function largestDeviation(
  operation: OperationCase,
  options: EngineOptions,
  elements = 24,
): Promise<Deviation> {
  const { valuesOf, seed, wanted, runForward, runBackward, release } = await prepareCase(operation, false, options);
  await runForward();
  const gradients = await runBackward();
  const objective = async (): Promise<number> => {
    const y = await runForward();
    return y.reduce((sum, value, index) => sum + value * valuesOf(seed)[index]!, 0);
  };
  let worst: Deviation = { element: '', gradient: 0, difference: 0, units: 0 };
  const step = 4e-3;
  for (const value of wanted) {
    const x = valuesOf(value);
    const gradient = gradients[`grad.${value.name}`]!;
    const scale = Math.max(...gradient.map(Math.abs));
    for (let index = 0; index < x.length; index += Math.ceil(x.length / elements)) {
      const original = x[index]!;
      x[index] = original + step;
      const above = await objective();
      x[index] = original - step;
      const below = await objective();
      x[index] = original;
      const difference = (above - below) / (2 * step);
      const units = Math.abs(gradient[index]! - difference) / (2e-3 * scale + 1e-3);
      // Also where it is no number.
      if (!(units <= worst.units))
        worst = { element: `${value.name}[${index}]`, gradient: gradient[index]!, difference, units };
    }
  }
  await release();
  return worst;
}
