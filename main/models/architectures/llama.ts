/** Llama 2 and 3 (and every checkpoint that says `model_type: llama`): GQA, RoPE with optional Llama-3 scaling, SwiGLU. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ModelConfiguration } from '../configuration.ts';
import { type Architecture, plainCheckpoint, readDecoder, unsupported } from './architecture.ts';
import { type GgufArchitecture, ggufArchitectures } from './gguf.ts';

/** The file of a model that is Llama but for its name: `bitnet` holds it with SubLN before o and down. */
export function llamaFile({ subln, qkvBias }: ModelConfiguration): GgufArchitecture {
  if (subln === 'none') return ggufArchitectures.llama;
  if (qkvBias) throw new TritsmithError('unsupported', 'export.bias-beside-subln');
  if (subln === 'paper') return ggufArchitectures.bitnet;
  throw new TritsmithError('unsupported', 'export.subln-everywhere');
}

export const llama: Architecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  title: 'Llama',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    return readDecoder(config);
  },
  checkpoint: plainCheckpoint,
  gguf: llamaFile,
};
