/** Tables of the rotary position embedding. */
import type { ModelConfiguration } from './configuration.ts';

/** Inverse frequencies `[D/2]`, with Llama-3 scaling where the model asks for it (transformers, `_compute_llama3_parameters`). */
export function inverseFrequencies(configuration: ModelConfiguration): Float64Array {
  const { headSize, ropeTheta, ropeScaling } = configuration;
  const frequencies = new Float64Array(headSize / 2).map((_, index) => ropeTheta ** ((-2 * index) / headSize));
  if (!ropeScaling) return frequencies;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = ropeScaling;
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency;
    if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor;
    const smooth =
      (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** cos and sin `[positions, D/2]`. */
export function rotaryTables(
  configuration: ModelConfiguration,
  positions: number,
): { cos: Float32Array; sin: Float32Array } {
  const frequencies = inverseFrequencies(configuration);
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position += 1)
    for (let index = 0; index < half; index += 1) {
      const angle = position * frequencies[index]!;
      cos[position * half + index] = Math.cos(angle);
      sin[position * half + index] = Math.sin(angle);
    }
  return { cos, sin };
}
