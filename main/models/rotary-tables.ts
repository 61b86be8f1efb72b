/** Tables of the rotary position embedding. */
import { type LayerKind, type ModelConfiguration, type RopeScaling, rotarySize } from './configuration.ts';

function scaled(frequencies: Float64Array, scaling: RopeScaling): Float64Array {
  if (scaling.kind === 'linear') return frequencies.map((frequency) => frequency / scaling.factor);
  if (scaling.kind === 'factors') return frequencies.map((frequency, index) => frequency / scaling.factors[index]!);
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions } = scaling;
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency;
    if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor;
    const smooth =
      (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/**
 * Inverse frequencies `[R/2]` of the R rotated dimensions of a head; global ones with the scaling that the model asks for (transformers,
 * `ROPE_INIT_FUNCTIONS`).
 */
export function inverseFrequencies(
  configuration: ModelConfiguration,
  rope: Exclude<LayerKind['rope'], 'none'> = 'global',
): Float64Array {
  const size = rotarySize(configuration);
  const theta = rope === 'global' ? configuration.ropeTheta : configuration.localRopeTheta!;
  const frequencies = new Float64Array(size / 2).map((_, index) => theta ** ((-2 * index) / size));
  const { ropeScaling } = configuration;
  return rope === 'global' && ropeScaling ? scaled(frequencies, ropeScaling) : frequencies;
}

/** cos and sin `[positions, R/2]`; of layers without a rotary embedding 1 and 0. */
export function rotaryTables(
  configuration: ModelConfiguration,
  positions: number,
  rope: LayerKind['rope'] = 'global',
): { cos: Float32Array; sin: Float32Array } {
  const half = rotarySize(configuration) / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  if (rope === 'none') return { cos: cos.fill(1), sin };
  const frequencies = inverseFrequencies(configuration, rope);
  const { ropeScaling } = configuration;
  const magnitude = rope === 'global' && ropeScaling?.kind === 'factors' ? ropeScaling.magnitude : 1;
  for (let position = 0; position < positions; position += 1)
    for (let index = 0; index < half; index += 1) {
      const angle = position * frequencies[index]!;
      cos[position * half + index] = magnitude * Math.cos(angle);
      sin[position * half + index] = magnitude * Math.sin(angle);
    }
  return { cos, sin };
}
