/**
 * Cuts a differentiated graph into two sessions: the forward one hands out what the backward one consumes, so that nothing
 * but the kept values lives between them (docs/architecture.md, "Engine").
 */
import type { Graph, GraphNode, Value } from './graph.ts';
import { encodeOnnx, type OnnxConstant, type OnnxGraph } from './onnx-format.ts';

/** One session's worth of graph with its typed ends. */
export interface Program {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** A result of a program under the name that the caller knows it by. */
export type Named = Readonly<Record<string, Value>>;

function rename(graph: OnnxGraph, results: Named): { graph: OnnxGraph; outputs: Value[] } {
  const taken = new Set(graph.nodes.flatMap((node) => node.outputs));
  const extra = Object.entries(results).map(([name, value]) => {
    if (taken.has(name)) throw new Error(`result name ${name} is taken by a node`);
    return {
      node: { operator: 'Identity', domain: '', inputs: [value.name], outputs: [name], attributes: {} },
      output: { name, type: value.type, shape: value.shape } satisfies Value,
    };
  });
  const outputs = extra.map(({ output }) => output);
  return { graph: { ...graph, nodes: [...graph.nodes, ...extra.map(({ node }) => node)], outputs }, outputs };
}

/** The program that computes `results` from the graph's inputs, with only the nodes that they need. */
export function program(name: string, graph: Graph, results: Named, given: ReadonlyMap<string, Value> = new Map()): Program {
  const producers = new Map<string, GraphNode>();
  for (const node of graph.nodes) for (const output of node.outputs) producers.set(output, node);
  const used = new Set<GraphNode>();
  const inputs = new Map<string, Value>();
  const constants = new Map<string, OnnxConstant>();
  const pending = Object.values(results).map((value) => value.name);
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    const constant = graph.constants.get(value);
    const input = given.get(value) ?? graph.inputs.get(value);
    if (constant) constants.set(value, constant);
    else if (input) inputs.set(value, input);
    else {
      const node = producers.get(value);
      if (!node) throw new Error(`value ${value} of program ${name} comes from nowhere`);
      if (used.has(node)) continue;
      used.add(node);
      pending.push(...node.inputs.filter((dependency) => dependency !== ''));
    }
  }
  const body = rename(
    {
      name,
      nodes: graph.nodes.filter((node) => used.has(node)),
      inputs: [...inputs.values()],
      outputs: [],
      constants: [...constants.values()],
    },
    results,
  );
  return { name, bytes: encodeOnnx(body.graph), inputs: [...inputs.values()], outputs: body.outputs };
}

export interface Passes {
  readonly forward: Program;
  readonly backward: Program;
  /** What the forward pass hands to the backward pass, by name; empty when activations are recomputed. */
  readonly kept: readonly Value[];
}

/**
 * @param forwardNodes how many of the graph's nodes belong to the forward pass (`graph.nodes.length` before `differentiate`)
 * @param recompute keep nothing but the graph's inputs and compute the forward values again in the backward pass
 */
export function splitPasses(
  name: string,
  graph: Graph,
  forwardNodes: number,
  results: Named,
  gradients: Named,
  recompute: boolean,
): Passes {
  const producers = new Map<string, { node: GraphNode; index: number }>();
  graph.nodes.forEach((node, index) => {
    for (const output of node.outputs) producers.set(output, { node, index });
  });
  const kept = new Map<string, Value>();
  const seen = new Set<string>();
  const visit = (value: string): void => {
    if (seen.has(value)) return;
    seen.add(value);
    const producer = producers.get(value);
    if (!producer) return;
    const { node, index } = producer;
    if (index < forwardNodes && !recompute && !node.cheap) {
      kept.set(value, node.values.find((candidate) => candidate.name === value)!);
      return;
    }
    node.inputs.forEach(visit);
  };
  for (const gradient of Object.values(gradients)) visit(gradient.name);

  const keptResults: Record<string, Value> = { ...results };
  const given = new Map<string, Value>();
  const keptValues = [...kept.values()].map((value): Value => {
    const renamed: Value = { ...value, name: `kept.${value.name}` };
    keptResults[renamed.name] = value;
    given.set(value.name, value);
    return renamed;
  });
  const backward = program(`${name}.backward`, graph, gradients, given);
  return {
    forward: program(`${name}.forward`, graph, keptResults),
    backward,
    kept: keptValues,
  };
}

/** The name under which the backward program takes a kept value. */
export function backwardName(kept: Value): string {
  return kept.name.slice('kept.'.length);
}
