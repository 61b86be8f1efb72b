/** Reverse-mode differentiation over the tape of a graph. */
import type { Graph, Value } from './graph.ts';

/**
 * Adds the nodes of the backward pass.
 * @param seeds gradient of the objective with respect to some values (usually graph inputs of the backward pass)
 * @param wanted values whose gradients are asked for
 * @returns the gradient of each wanted value; missing where no gradient flows
 * @throws Error that names an operator which a gradient reaches and which has no pullback: its inputs would silently get none
 */
export function differentiate(
  graph: Graph,
  seeds: ReadonlyMap<Value, Value>,
  wanted: readonly Value[],
): Map<Value, Value> {
  const operators = new Map(graph.nodes.flatMap(({ operator, outputs }) => outputs.map((name) => [name, operator])));
  const parts = new Map<string, Value[]>();
  const add = (value: Value, gradient: Value): void => {
    const list = parts.get(value.name);
    if (list) list.push(gradient);
    else parts.set(value.name, [gradient]);
  };
  const total = (value: Value): Value | null => {
    const list = parts.get(value.name);
    if (!list) return null;
    if (list.length > 1) {
      const sum = graph.node1('Sum', list, value.shape);
      parts.set(value.name, [sum]);
      return sum;
    }
    return list[0]!;
  };
  for (const [value, gradient] of seeds) add(value, gradient);
  for (const entry of graph.tape.toReversed()) {
    const outputGradients = entry.outputs.map(total);
    if (outputGradients.every((gradient) => gradient === null)) continue;
    entry.pullback(outputGradients).forEach((gradient, index) => {
      if (gradient) add(entry.inputs[index]!, gradient);
    });
  }
  const passedOn = new Set(graph.tape.flatMap(({ outputs }) => outputs.map(({ name }) => name)));
  for (const { name } of wanted) passedOn.add(name);
  for (const name of parts.keys()) {
    const operator = operators.get(name);
    if (operator !== undefined && !passedOn.has(name))
      throw new Error(`graph ${graph.name}: ${operator} has no gradient, but one flows to its output ${name}`);
  }
  const result = new Map<Value, Value>();
  for (const value of wanted) {
    const gradient = total(value);
    if (gradient) result.set(value, gradient);
  }
  return result;
}
