/** A GGUF file that llama.cpp's own library wrote, beside what transformers computes with its weights (golden/make-gguf.py). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Network } from './network.ts';
import { loadParameters, modelCompanions, modelConfiguration, modelTokenizer } from './open-model.ts';
import { ScoringHead } from './scoring-head.ts';

const path = fileURLToPath(new URL('golden/teacher.gguf', import.meta.url));
const golden = JSON.parse(readFileSync(new URL('golden/teacher.json', import.meta.url), 'utf8')) as {
  ids: number[];
  logits: string;
};

it('has the logits of transformers, through query and key rows in the order of llama.cpp and five kinds of blocks', async () => {
  const configuration = await modelConfiguration(path);
  expect(configuration).toMatchObject({
    architecture: 'llama',
    ropeTheta: 1e5,
    rmsNormEpsilon: 1e-5,
    tiedEmbeddings: true,
  });
  const network = await Network.create(configuration, await loadParameters(path, configuration), {
    threads: 1,
    mode: 'inference',
  });
  const head = await ScoringHead.create(network, { threads: 1 });
  try {
    const ids = Int32Array.from(golden.ids);
    const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
    const logits = await head.logits(hidden, Int32Array.from(ids.keys()));
    const expected = new Float32Array(Uint8Array.from(Buffer.from(golden.logits, 'hex')).buffer);
    expect(logits).toHaveLength(expected.length);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const gap = logits.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
    expect(largest).toBeGreaterThan(1);
    expect(gap / largest).toBeLessThan(1e-5);
  } finally {
    await head.release();
    await network.release();
  }
});

it('has the small files that a folder would have', async () => {
  const { names, settings } = await modelCompanions(path);
  expect([...names].sort()).toEqual([
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  expect(await settings('config.json')).toMatchObject({ model_type: 'llama', architectures: ['LlamaForCausalLM'] });
  const tokenizer = await modelTokenizer(path);
  expect(await settings('generation_config.json')).toEqual({
    bos_token_id: tokenizer.tokenToId('<|im_start|>'),
    eos_token_id: tokenizer.tokenToId('<|im_end|>'),
  });
  expect(await settings('tokenizer_config.json')).toMatchObject({ bos_token: '<|im_start|>', eos_token: '<|im_end|>' });
  await expect(modelTokenizer(path, { vocabSize: 100 })).rejects.toMatchObject({ id: 'tokenizer.of-another-model' });
  await expect(settings('vocab.json')).rejects.toMatchObject({ code: 'not-found' });
});
