/** Weights that are ternary already where they are read: codes and a scale, in place of the latent weights that a student is trained with (docs/formats.md, 4). */
import { TritsmithError } from '../contract/errors.ts';
import { isJsonObject, type JsonObject, ownValue } from '../basics/bounded-json.ts';
import type { ModelWeights } from './stored-weights.ts';

/** `[O/4, K]` bytes as `[O, K]` values: bits 2i and 2i + 1 of byte [r, c] are the code, plus one, of row i O/4 + r. */
export function unpackRows(packed: Uint8Array): Int8Array {
  const part = packed.length;
  const values = new Int8Array(part * 4);
  for (let quarter = 0; quarter < 4; quarter += 1)
    for (let index = 0; index < part; index += 1)
      values[quarter * part + index] = ((packed[index]! >>> (2 * quarter)) & 3) - 1;
  return values;
}

/**
 * Makes latent weights of values that are 0 or plus or minus one scale: rounded by absmean they give the same codes and scale again. Their mean would be
 * the scale times the share of those that are not 0, so they are divided by that share. Other weights are latent and stay.
 * @returns whether they had one scale
 */
export function latentsOfCodes(values: Float32Array): boolean {
  let scale = 0;
  let set = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size === 0) continue;
    if (scale === 0) scale = size;
    else if (size !== scale) return false;
    set += 1;
  }
  if (set === 0 || set === values.length) return true;
  const latent = Math.fround((scale * values.length) / set);
  for (let index = 0; index < values.length; index += 1) values[index] = Math.sign(values[index]!) * latent;
  return true;
}

const scaleEnding = '_scale';

/**
 * Weights of a `bitnet` folder whose matrices are packed, as those of a folder with whole matrices `[O, K]`; null where none is packed.
 * @param settings config.json: `linear_class` says whether a scale multiplies (`autobitlinear`) or divides (`bitlinear`, also where nothing is said)
 */
export function unpackedWeights(checkpoint: ModelWeights, settings: JsonObject): ModelWeights | null {
  const packed = new Set(
    checkpoint.names().filter((name) => checkpoint.dtype(name) === 'U8' && checkpoint.has(name + scaleEnding)),
  );
  if (packed.size === 0) return null;
  const said = ownValue(settings, 'quantization_config');
  const multiplies = isJsonObject(said) && said.linear_class === 'autobitlinear';
  const isScale = (name: string): boolean =>
    name.endsWith(scaleEnding) && packed.has(name.slice(0, -scaleEnding.length));
  const scaleOf = async (name: string): Promise<number> => {
    const values = await checkpoint.readFloat32(name + scaleEnding);
    const scale = multiplies ? values[0]! : 1 / values[0]!;
    if (values.length === 1 && scale > 0 && Number.isFinite(scale)) return scale;
    throw new TritsmithError('damaged', 'model.packed-scale', { name: name + scaleEnding });
  };
  return {
    ...checkpoint,
    trunk: new Set([...checkpoint.trunk].filter((name) => !isScale(name))),
    names: () => checkpoint.names().filter((name) => !isScale(name)),
    has: (name) => checkpoint.has(name) && !isScale(name),
    shape(name) {
      const [rows, ...others] = checkpoint.shape(name);
      return packed.has(name) ? [rows! * 4, ...others] : [rows!, ...others];
    },
    async readFloat32(name, out) {
      if (!packed.has(name)) return checkpoint.readFloat32(name, out);
      const codes = unpackRows(await checkpoint.readBytes(name));
      if (codes.includes(2)) throw new TritsmithError('damaged', 'model.packed-code', { name });
      const scale = await scaleOf(name);
      const values = out ?? new Float32Array(codes.length);
      for (let index = 0; index < codes.length; index += 1) values[index] = codes[index]! * scale;
      return values;
    },
  };
}
