import { expect, it } from 'vitest';
import { differentiate } from './differentiate.ts';
import { Graph } from './graph.ts';
import { linear, swiGlu } from './operations.ts';
import { roundActivations } from './rounded-activations.ts';

it('names the operator that a gradient reaches and that has no pullback', () => {
  const graph = new Graph('layer');
  const x = graph.input('x', ['B', 'T', 4]);
  const weight = graph.input('weight', [3, 4]);
  const y = linear(graph, roundActivations(graph, x, 'float16'), weight);
  const seeds = new Map([[y, graph.input('dy', y.shape)]]);
  expect(() => differentiate(graph, seeds, [weight, x])).toThrow(/graph layer: Cast has no gradient/);
});

it('lets gradients end at inputs that nobody asks about, and at values that are asked for', () => {
  const graph = new Graph('layer');
  const gate = graph.input('gate', ['B', 'T', 4]);
  const up = graph.node1('Relu', [graph.input('x', ['B', 'T', 4])], gate.shape);
  const y = swiGlu(graph, gate, up);
  const found = differentiate(graph, new Map([[y, graph.input('dy', y.shape)]]), [up]);
  expect([...found.keys()]).toEqual([up]);
});
