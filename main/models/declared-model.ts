/** What config.json says about the kind of model, beyond its shape: quantised weights and heads that write no text are refused by name. */
import { TritsmithError } from '../contract/errors.ts';
import { isJsonObject, type JsonObject, ownValue } from '../basics/bounded-json.ts';

/** Classes with a head that predicts the next token. `…Model` is a trunk that was saved without its head. */
const writesText = /(?:ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;
const trunkAlone = /Model$/;

/** Names that people know, by `quant_method`. Others are shown as the file has them. */
const methods: Readonly<Record<string, string>> = {
  fp8: 'FP8',
  fbgemm_fp8: 'FP8',
  gptq: 'GPTQ',
  awq: 'AWQ',
  bitsandbytes: 'bitsandbytes',
  'compressed-tensors': 'compressed-tensors',
  mxfp4: 'MXFP4',
  bitnet: 'BitNet',
  mlx: 'MLX',
};

/** `owner/name` of the Hub, as far as a text has that form. */
export function hubName(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/.test(value) ? value : null;
}

/** `GPTQ, 4-bit`: how the weights are quantised according to `settings` (config.json); null for whole weights, and for a BitNet, which is ternary by birth. */
export function declaredQuantisation(settings: JsonObject): string | null {
  const own = ownValue(settings, 'quantization_config');
  if (ownValue(settings, 'model_type') === 'bitnet' && isJsonObject(own) && own.quant_method === 'bitnet') return null;
  for (const holder of [settings, ownValue(settings, 'text_config')]) {
    if (!isJsonObject(holder)) continue;
    for (const key of ['quantization_config', 'compression_config', 'quantization']) {
      const said = ownValue(holder, key);
      if (isJsonObject(said) && Object.keys(said).length > 0) return quantisationName(said, key);
    }
  }
  return null;
}

function quantisationName(said: JsonObject, key: string): string {
  const text = (name: string): string | null => {
    const value = ownValue(said, name);
    return typeof value === 'string' && value !== '' ? value.slice(0, 40) : null;
  };
  const method =
    text('quant_method') ??
    (key === 'quantization' ? 'mlx' : key === 'compression_config' ? 'compressed-tensors' : 'unknown');
  const name = Object.hasOwn(methods, method) ? methods[method]! : method;
  const stored = ownValue(said, 'bits');
  const bits =
    typeof stored === 'number'
      ? stored
      : ownValue(said, 'load_in_4bit') === true
        ? 4
        : ownValue(said, 'load_in_8bit') === true
          ? 8
          : null;
  if (bits !== null) return `${name}, ${bits}-bit`;
  const format = text('format') ?? text('quant_type');
  return format === null ? name : `${name}, ${format}`;
}

/** @param original the model from which it was made, where something names it */
export function quantised(quantisation: string, original: string | null): TritsmithError {
  return new TritsmithError('unsupported', 'model.quantised', { quantisation, original });
}

/**
 * Refuses a config.json whose weights can't be trained as a language model's.
 * @param original the model from which this one was made, where something beside config.json names it
 * @throws TritsmithError `unsupported`: quantised weights, or a class that writes no text
 */
export function assertLanguageModel(settings: JsonObject, original: string | null): void {
  const from = original ?? hubName(ownValue(settings, '_name_or_path'));
  const quantisation = declaredQuantisation(settings);
  if (quantisation !== null) throw quantised(quantisation, from);
  const className = declaredClass(settings);
  if (className === null || writesText.test(className) || trunkAlone.test(className)) return;
  throw new TritsmithError('unsupported', 'model.writes-no-text', {
    className: className.slice(0, 80),
    original: from,
  });
}

/** The class of `settings` where it is that of a trunk without its head (`LlamaModel`); null for all others. */
export function trunkClass(settings: JsonObject): string | null {
  const className = declaredClass(settings);
  return className !== null && trunkAlone.test(className) && !writesText.test(className)
    ? className.slice(0, 80)
    : null;
}

function declaredClass(settings: JsonObject): string | null {
  const classes = ownValue(settings, 'architectures');
  const first = Array.isArray(classes) ? classes[0] : undefined;
  return typeof first === 'string' ? first : null;
}
