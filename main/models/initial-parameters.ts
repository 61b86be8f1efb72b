/** Random weights for a model that is trained from scratch. */
import type { ModelConfiguration } from './configuration.ts';
import { ParameterBuffer, parameterSpecifications } from './parameters.ts';
import { startLearnedScales } from './ternary-weights.ts';

/**
 * Normal weights with deviation 0.02, those that write into the residual stream divided by sqrt(2 * layers) (GPT-2); norms 1,
 * biases 0, learned scales at the mean of their weights.
 * @param normal gives standard normal numbers
 */
export function initialParameters(configuration: ModelConfiguration, normal: () => number): ParameterBuffer {
  const buffer = new ParameterBuffer(parameterSpecifications(configuration));
  for (const { name, local, shape, scaleOf } of buffer.specifications) {
    if (scaleOf !== null) continue;
    const values = buffer.view(name);
    if (shape.length === 1) {
      values.fill(local.endsWith('.bias') ? 0 : 1);
      continue;
    }
    const residual = local === 'o' || local === 'down';
    const deviation = residual ? 0.02 / Math.sqrt(2 * configuration.layers) : 0.02;
    for (let index = 0; index < values.length; index += 1) values[index] = normal() * deviation;
  }
  startLearnedScales(buffer);
  return buffer;
}
