/** Values of a row at given places: read, and replaced. */
import type { Graph, Value } from '../graph.ts';

const alongRow = { axis: { int: 1 } };

/** Of `[n, V]` values those at `indices` `[n, C]`. It has no gradient of its own. */
export function pickColumns(graph: Graph, values: Value, indices: Value): Value {
  return graph.node1('GatherElements', [values, indices], indices.shape, { attributes: alongRow });
}

const placed = (graph: Graph, values: Value, indices: Value, updates: Value): Value =>
  graph.node1('ScatterElements', [values, indices, updates], values.shape, { attributes: alongRow });

/** `values` `[n, V]` with those at `indices` `[n, C]`, of which no two in a row are the same, replaced by `updates` `[n, C]`. */
export function replaceColumns(graph: Graph, values: Value, indices: Value, updates: Value): Value {
  const output = placed(graph, values, indices, updates);
  graph.record([values, updates], [output], ([dOutput]) => [
    placed(graph, dOutput!, indices, graph.node1('Mul', [updates, graph.constant(0)], updates.shape)),
    pickColumns(graph, dOutput!, indices),
  ]);
  return output;
}
