/** A model with some of its decoder layers: its shape, and the names of its tensors in the whole model. */
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from '../basics/bounded-json.ts';
import { layerKind, type ModelConfiguration } from './configuration.ts';
import type { ParameterSpecification } from './parameters.ts';

/** Shape of the model that has only the layers `kept`, in their order. */
export function withLayers(configuration: ModelConfiguration, kept: readonly number[]): ModelConfiguration {
  const kinds = kept.map((layer) => layerKind(configuration, layer));
  const [first] = kinds;
  return {
    ...configuration,
    layers: kept.length,
    layerKinds: kinds.every((kind) => isDeepStrictEqual(kind, first)) ? kinds.slice(0, 1) : kinds,
  };
}

/** A parameter as the whole model has it, of which the layers `kept` are left. */
export function inWholeModel(parameter: ParameterSpecification, kept: readonly number[]): ParameterSpecification {
  const { layer } = parameter;
  if (layer === null) return parameter;
  const whole = kept[layer]!;
  const renamed = (name: string): string => name.replace(`layers.${layer}.`, `layers.${whole}.`);
  return {
    ...parameter,
    layer: whole,
    name: renamed(parameter.name),
    stored: parameter.stored && { ...parameter.stored, name: renamed(parameter.stored.name) },
  };
}

/** Settings of a `config.json` for the layers `kept`: their number, and what it lists for each layer. */
export function settingsOfLayers(settings: JsonObject, kept: readonly number[]): JsonObject {
  const whole = settings.num_hidden_layers;
  return {
    ...Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        name,
        Array.isArray(value) && value.length === whole ? kept.map((layer) => value[layer]!) : value,
      ]),
    ),
    num_hidden_layers: kept.length,
  };
}
