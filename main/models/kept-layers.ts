/** A model with some of its decoder layers: its shape, and the names of its tensors in the whole model. */
import type { ModelConfiguration } from './configuration.ts';

/** Shape of the model that has only the layers `kept`, in their order. */
export function withLayers(configuration: ModelConfiguration, kept: readonly number[]): ModelConfiguration {
  return { ...configuration, layers: kept.length };
}

/** Settings of a `config.json` for the layers `kept`: their number, and what it lists for each layer. */
export function settingsOfLayers(
  settings: Readonly<Record<string, unknown>>,
  kept: readonly number[],
): Record<string, unknown> {
  const whole = settings.num_hidden_layers;
  return {
    ...Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [
        name,
        Array.isArray(value) && value.length === whole ? kept.map((layer) => value[layer] as unknown) : value,
      ]),
    ),
    num_hidden_layers: kept.length,
  };
}
