/**
 * `npm run bench -- gpu-parity [--shape 15m,110m,600m,135m-rows] [--page] [--json]`: what the graphics card of this machine computes beside the processor. Each operation forward and backward
 * (largest difference, in parts of the largest value) and its gradients against finite differences on the card (in units of what rounding may do); then one layer
 * of models that people train, with random weights and states (difference of whole tensors, in parts of their size). `--page` writes the tables into docs/results.md.
 */
import { parseArgs } from 'node:util';
import { availableParallelism } from 'node:os';
import { prepareCase, largestDeviation } from '../main/graph/gradient-check.ts';
import { operationCases } from '../main/graph/operation-cases.ts';
import { distance } from '../main/graph/webgpu/trust.ts';
import { layerDistances } from '../main/training/layer-check.ts';
import { type OpenCard, openCard } from './card.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { table } from './table.ts';
import { trainingShapes } from './training-shapes.ts';

const options = {
  /** Models whose layer is computed, with commas. */
  shape: { type: 'string', default: Object.keys(trainingShapes).join(',') },
  page: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

interface OperationParity {
  readonly name: string;
  readonly forward: number;
  readonly gradient: number;
  /** Above 1 the gradient is wrong. */
  readonly units: number;
}

async function operations({ backend }: OpenCard): Promise<OperationParity[]> {
  const found: OperationParity[] = [];
  for (const operation of operationCases) {
    const expected = await prepareCase(operation, false, { threads: 1 });
    const own = await prepareCase(operation, false, { threads: 1, backend });
    const forward = distance(await expected.runForward(), await own.runForward());
    const gradients = await own.runBackward();
    const gradient = Object.entries(await expected.runBackward()).reduce(
      (most, [name, values]) => Math.max(most, distance(values, gradients[name]!)),
      0,
    );
    await expected.release();
    await own.release();
    const { units } = await largestDeviation(operation, { threads: 1, backend }, 8);
    found.push({ name: operation.name, forward, gradient, units });
  }
  return found;
}

interface LayerParity {
  readonly shape: string;
  readonly ternary: boolean;
  readonly values: number;
  /** The gradient that is off most. */
  readonly worst: string;
  readonly gradient: number;
}

async function layers({ backend }: OpenCard, shapes: readonly string[]): Promise<LayerParity[]> {
  const found: LayerParity[] = [];
  for (const shape of shapes)
    for (const ternary of [false, true]) {
      const { configuration } = trainingShapes[shape]!;
      const model = ternary ? configuration : ({ ...configuration, ternary, subln: 'none' } as const);
      const [[, values], ...gradients] = [...(await layerDistances(model, backend, availableParallelism()))] as [
        [string, number],
        ...[string, number][],
      ];
      const [worst, gradient] = gradients.reduce((most, each) => (each[1] > most[1] ? each : most));
      found.push({ shape, ternary, values, worst, gradient });
    }
  return found;
}

const small = (value: number): string => value.toExponential(1);

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const card = await openCard();
  try {
    const [ops, models] = [await operations(card), await layers(card, values.shape.split(','))];
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ card: card.name, operations: ops, layers: models }, null, 2)}\n`);
      return;
    }
    const tables = [
      [
        ['operation', 'forward', 'gradients', 'finite differences (1: wrong)'],
        ...ops.map(({ name, forward, gradient, units }) => [name, small(forward), small(gradient), units.toFixed(2)]),
      ],
      [
        ['one layer of', 'its values', 'gradient that is off most', ''],
        ...models.map(({ shape, ternary, values: off, worst, gradient }) => [
          `${shape}, ${ternary ? 'ternary' : 'full precision'}`,
          small(off),
          worst.replace('the gradient of ', ''),
          small(gradient),
        ]),
      ],
    ];
    process.stdout.write(`${card.name}\n\n${tables.map(table).join('\n\n')}\n`);
    if (values.page)
      writeSection(
        'gpu-parity',
        [
          '## A graphics card beside the processor',
          `${circumstances()}. ${card.name}. Operations: largest difference in parts of the largest value. Layers: difference of whole tensors in parts of their size, random weights, 80 tokens; where inputs are rounded to int8, the last digit of a float32 number decides now and then for a neighbouring whole number.`,
          ...tables.map(markdownTable),
        ].join('\n\n'),
      );
  } finally {
    card.device.close();
  }
}
