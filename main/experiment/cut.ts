/** Which layers the cut student kept, as it lies beside the weights of the cut model. */
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { readJson } from '../basics/json-file.ts';
import { modelFolder } from './folder.ts';

export const layerCut = z.object({
  /** Layers of the model that was cut, from 0, in order. */
  kept: z.array(z.int().min(0)).min(1),
  /** Those that left, in the order of leaving, and how much the answers changed without them, nats a token. */
  left: z.array(z.object({ layer: z.int().min(0), divergence: z.number() })),
});
export type LayerCut = z.infer<typeof layerCut>;

const cutPath = (experiment: string): string => join(modelFolder(experiment, 'cut'), 'layers.json');

/** Null before the model was cut. @throws TritsmithError `damaged` */
export function readLayerCut(experiment: string): LayerCut | null {
  return readJson(cutPath(experiment), layerCut, 'results.damaged');
}

export async function writeLayerCut(experiment: string, cut: LayerCut): Promise<void> {
  await writeFileAtomically(cutPath(experiment), `${JSON.stringify(cut)}\n`);
}
