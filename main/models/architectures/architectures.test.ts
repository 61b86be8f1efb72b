/** What config.json files say, and what of it is refused. Numbers beside transformers: models/golden. */
import { describe, expect, it } from 'vitest';
import { layerKind } from '../configuration.ts';
import { parseConfiguration } from './index.ts';

const base = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 48,
  intermediate_size: 96,
  num_hidden_layers: 12,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 12,
  hidden_act: 'silu',
};
const read = (changes: object) => parseConfiguration(JSON.stringify({ ...base, ...changes }));
const refused = (feature: string, value?: string) => ({
  code: 'unsupported',
  params: { feature, ...(value === undefined ? {} : { value }) },
});
const thrown = (changes: object): unknown => {
  try {
    return read(changes);
  } catch (error) {
    return error;
  }
};

describe('config.json', () => {
  it('must name an activation that is known: there is no default', () => {
    expect(thrown({ hidden_act: undefined })).toMatchObject(refused('activation', 'not named'));
    expect(thrown({ hidden_act: 'gelu' })).toMatchObject(refused('activation', 'gelu'));
    expect(thrown({ hidden_act: 'constructor' })).toMatchObject(refused('activation', 'constructor'));
  });

  it('of Gemma 3 with images is its language model, with what published files leave to the class', () => {
    const published = {
      model_type: 'gemma3',
      architectures: ['Gemma3ForConditionalGeneration'],
      vision_config: { hidden_size: 1152 },
      text_config: {
        model_type: 'gemma3_text',
        hidden_size: 2560,
        intermediate_size: 10_240,
        num_hidden_layers: 34,
        rope_scaling: { factor: 8, rope_type: 'linear' },
        sliding_window: 1024,
      },
    };
    const found = parseConfiguration(JSON.stringify(published));
    expect(found).toMatchObject({
      architecture: 'gemma3_text',
      vocabSize: 262_208,
      heads: 8,
      kvHeads: 4,
      headSize: 256,
      activation: 'gelu-tanh',
      ropeTheta: 1e6,
      localRopeTheta: 1e4,
      ropeScaling: { kind: 'linear', factor: 8 },
      tiedEmbeddings: true,
      maxPositions: 131_072,
    });
    expect(found.layerKinds).toHaveLength(6);
    expect([0, 4, 5, 6, 33].map((layer) => layerKind(found, layer).window)).toEqual([1024, 1024, null, 1024, 1024]);
  });

  it('refuses layers of another type, too few of them, and capped logits', () => {
    const gemma = { model_type: 'gemma3_text', hidden_activation: 'gelu_pytorch_tanh', sliding_window: 8 };
    expect(thrown({ ...gemma, layer_types: Array(12).fill('chunked_attention') })).toMatchObject(
      refused('layer-type', 'chunked_attention'),
    );
    expect(thrown({ ...gemma, layer_types: ['full_attention'] })).toMatchObject({ id: 'configuration.layer-types' });
    expect(thrown({ ...gemma, final_logit_softcapping: 30 })).toMatchObject(refused('logit-cap'));
    expect(thrown({ model_type: 'smollm3', no_rope_layers: [1] })).toMatchObject({ id: 'configuration.layer-types' });
  });

  it('of LongRoPE ends at the original length, and must have a factor for each frequency', () => {
    const phi = {
      model_type: 'phi3',
      partial_rotary_factor: 0.5,
      max_position_embeddings: 131_072,
      original_max_position_embeddings: 4096,
    };
    const scaling = (short_factor: number[]) => ({ rope_scaling: { type: 'longrope', short_factor, long_factor: [] } });
    const found = read({ ...phi, ...scaling([1, 1.5, 2]) });
    expect(found).toMatchObject({ maxPositions: 4096, rotaryFactor: 0.5 });
    expect(found.ropeScaling).toMatchObject({ magnitude: Math.sqrt(1 + Math.log(32) / Math.log(4096)) });
    expect(thrown({ ...phi, ...scaling([1, 2]) })).toMatchObject({ id: 'configuration.rotary-size' });
  });

  it('has no window where it is as long as the context', () => {
    const window = (sliding_window: number) => read({ model_type: 'mistral', sliding_window }).layerKinds;
    expect(window(64)).toEqual([{ window: 64, rope: 'global' }]);
    expect(window(4096)).toEqual([{ window: null, rope: 'global' }]);
  });
});
