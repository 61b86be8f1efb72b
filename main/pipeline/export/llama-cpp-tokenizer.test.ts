/** llama.cpp splits texts by the tokenizer inside an exported file as the tokenizer of the folder and our own reader of the file do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llamaCppForTests, needsLlamaCpp } from '../../testing/llama-cpp.ts';
import { startLlamaCpp } from '../../llama-cpp/index.ts';
import { embeddedTokenizer } from '../../formats/gguf/index.ts';
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { parameterSpecifications } from '../../models/parameters.ts';
import { tinyConfiguration } from '../../models/fixtures/tiny-model.ts';
import { writeGgufModel } from './gguf-file.ts';

const component = llamaCppForTests();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-llama-tokens-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const special = ['<s>Hello</s>', 'Hello</s> world<s>', 'a</s>  b', '</s></s>'];

describe.skipIf(component === null || !hasSharedData)(
  `a SentencePiece vocabulary in llama.cpp ${needsLlamaCpp}`,
  () => {
    it('gives the ids of the folder and of our reader for the vectors, with and without special tokens', async () => {
      const original = await loadTokenizer(sharedData('tokenizers/llama2'));
      const configuration = tinyConfiguration({ vocabSize: 32_000, layers: 1, ternary: false, subln: 'none' });
      const sizes = new Map(
        parameterSpecifications(configuration).map(({ name, shape }) => [
          name,
          shape.reduce((all, size) => all * size, 1),
        ]),
      );
      const tensors = {
        read: (name: string) => Promise.resolve(new Float32Array(sizes.get(name)!).fill(0.5)),
        close: () => Promise.resolve(),
      };
      const path = join(folder, 'model.gguf');
      const model = { name: 'model', configuration, tensors, tokenizer: original };
      await writeGgufModel(path, model, { linear: 'F16', embedding: 'F16' });
      const ours = await embeddedTokenizer(path);
      const llama = await startLlamaCpp(component!, path);
      try {
        const vectors = readFileSync(sharedData('tokenizers/vectors/ggml-vocab-llama-spm.gguf.inp'), 'utf8');
        for (const text of [...vectors.split('\n__ggml_vocab_test__\n'), ...special]) {
          const ids = await llama.tokenize(text, true);
          expect(ours.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
          expect(original.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
        }
      } finally {
        await llama.close();
      }
    });
  },
);
