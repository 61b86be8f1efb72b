/**
 * Cuts a differentiated graph into two sessions: the forward one hands out what the backward one consumes, so that nothing
 * but the kept values lives between them (docs/architecture.md, "Engine").
 */
import type { Graph, GraphNode, Value } from './graph.ts';
import type { OnnxConstant, OnnxGraph, OnnxNode } from './onnx-format.ts';

/** One session's worth of graph with its typed ends. */
export interface Program {
  readonly name: string;
  readonly graph: OnnxGraph;
  /** Type and shape of each value that a node makes, by its name in `graph`. */
  readonly made: ReadonlyMap<string, Value>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** A result of a program under the name that the caller knows it by. */
export type Named = Readonly<Record<string, Value>>;

/** Gives results their names: a node's output is renamed, and only what is no node's output, or is wanted twice, is copied. */
function nameResults(
  graph: Omit<OnnxGraph, 'nodes'> & { readonly nodes: readonly GraphNode[] },
  results: Named,
): Pick<Program, 'graph' | 'made' | 'outputs'> {
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs));
  const newName = new Map<string, string>();
  const copies: OnnxNode[] = [];
  const outputs = Object.entries(results).map(([name, value]): Value => {
    if (produced.has(name)) throw new Error(`result name ${name} is taken by a node`);
    if (produced.has(value.name) && !newName.has(value.name)) newName.set(value.name, name);
    else copies.push({ operator: 'Identity', domain: '', inputs: [value.name], outputs: [name], attributes: {} });
    return { name, type: value.type, shape: value.shape };
  });
  const renamed = (name: string): string => newName.get(name) ?? name;
  const nodes = [...graph.nodes, ...copies].map((node): OnnxNode => ({
    ...node,
    inputs: node.inputs.map(renamed),
    outputs: node.outputs.map(renamed),
  }));
  const values = [...graph.nodes.flatMap((node) => node.values), ...outputs];
  const made = new Map(values.map((value) => [renamed(value.name), { ...value, name: renamed(value.name) }]));
  return { graph: { ...graph, nodes, outputs }, made, outputs };
}

/** The program that computes `results` from the graph's inputs, with only the nodes that they need. */
export function program(
  name: string,
  graph: Graph,
  results: Named,
  given: ReadonlyMap<string, Value> = new Map(),
): Program {
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
  const body = nameResults(
    {
      name,
      nodes: graph.nodes.filter((node) => used.has(node)),
      inputs: [...inputs.values()],
      outputs: [],
      constants: [...constants.values()],
    },
    results,
  );
  return { name, ...body, inputs: [...inputs.values()] };
}

/** A value that lives between the passes: the backward program's input `name` is the forward program's output `forwardName`. */
export interface KeptValue extends Value {
  readonly forwardName: string;
}

export interface Passes {
  readonly forward: Program;
  readonly backward: Program;
  /** What the forward pass hands to the backward pass; empty when activations are recomputed. */
  readonly kept: readonly KeptValue[];
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
      kept.set(
        value,
        node.values.find((candidate) => candidate.name === value)!,
      );
      return;
    }
    node.inputs.forEach(visit);
  };
  for (const gradient of Object.values(gradients)) visit(gradient.name);

  const forwardResults: Record<string, Value> = { ...results };
  const given = new Map<string, Value>();
  const resultOf = new Map(Object.entries(results).map(([result, value]) => [value.name, result]));
  const keptValues = [...kept.values()].map((value): KeptValue => {
    given.set(value.name, value);
    const result = resultOf.get(value.name) ?? `kept.${value.name}`;
    forwardResults[result] = value;
    return { ...value, forwardName: result };
  });
  const backward = program(`${name}.backward`, graph, gradients, given);
  return {
    forward: program(`${name}.forward`, graph, forwardResults),
    backward,
    kept: keptValues,
  };
}
