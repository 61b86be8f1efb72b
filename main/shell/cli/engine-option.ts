/** `--engine`: the processor or the graphics card. */
import { Option } from 'commander';
import type { Recipe } from '../../contract/recipe.ts';

export function engineOption(): Option {
  return new Option(
    '--engine <engine>',
    'what trains: cpu, or gpu for the graphics card, which needs "tritsmith components install webgpu" (default: cpu)',
  ).choices(['cpu', 'gpu']);
}

/** The recipe with another engine; as it is where none is named. */
export function withEngine(recipe: Recipe, engine: Recipe['engine']): Recipe {
  return engine === undefined ? recipe : { ...recipe, engine };
}
