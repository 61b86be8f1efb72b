/** BitNet b1.58 (2B4T): ternary from its pre-training, SubLN before o and down, squared ReLU; with SiLU what our own Llama students are exported as. */
import { isJsonObject } from '../../basics/bounded-json.ts';
import { TritsmithError } from '../../contract/errors.ts';
import {
  type Architecture,
  type HuggingFaceConfig,
  plainCheckpoint,
  readDecoder,
  unsupported,
} from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

/** @throws TritsmithError `unsupported` for a way of quantising that computes something else */
function checkQuantisation({ quantization_config: said }: HuggingFaceConfig): void {
  if (!isJsonObject(said)) return;
  if (said.use_rms_norm === true) throw unsupported('bitlinear-norm');
  const left = Array.isArray(said.modules_to_not_convert) ? said.modules_to_not_convert : [];
  const strange = left.find((module) => module !== 'lm_head');
  if (strange !== undefined) throw unsupported('unconverted-module', String(strange));
}

export const bitnet: Architecture = {
  modelType: 'bitnet',
  className: 'BitNetForCausalLM',
  title: 'BitNet b1.58',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    checkQuantisation(config);
    return readDecoder(config, { ternary: true, subln: 'paper' });
  },
  checkpoint: { ...plainCheckpoint, subln: { o: 'self_attn.attn_sub_norm', down: 'mlp.ffn_sub_norm' } },
  gguf({ activation, subln }) {
    // Files of our own are asked for as if there were no SubLN.
    if (subln === 'all') throw new TritsmithError('unsupported', 'export.subln-everywhere');
    return activation === 'relu-squared' ? ggufArchitectures['bitnet-b1.58'] : ggufArchitectures.bitnet;
  },
  fromGguf: {
    architecture: 'bitnet-b1.58',
    others: ['bitnet-25', 'bitnet'],
    settings: (keys) => ({
      // Squared ReLU is in the architecture's name; newer files have a key as well.
      hidden_act: keys.text('hidden_activation') ?? (keys.architecture === 'bitnet' ? 'silu' : 'relu2'),
    }),
  },
};
