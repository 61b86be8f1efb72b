import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerRequest, type RuntimeMessage } from '../../contract/helper-protocol.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { tinyConfiguration, tinyParameters, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import { writeGgufModel } from '../export/gguf-file.ts';
import { openTensorSource } from '../export/tensor-source.ts';
import { answerOnce } from './answer.ts';

let root: string;
let path: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-answer-'));
  path = join(root, 'student.gguf');
  const configuration = tinyConfiguration();
  const folder = join(root, 'student');
  await saveModelFolder(folder, tokenizerFolder, configuration, tinyParameters(configuration));
  const tensors = await openTensorSource(folder, configuration);
  const tokenizer = await loadTokenizer(tokenizerFolder);
  await writeGgufModel(
    path,
    { name: 'tiny', configuration, tensors, tokenizer },
    { linear: 'I2_S', embedding: 'F16' },
    () => Promise.resolve(),
  );
  await tensors.close();
});
afterAll(() => rmSync(root, { recursive: true }));

describe('one answer', () => {
  it('counts the tokens of the label that it gives, not the classes', async () => {
    const train = join(root, 'train.tsv');
    writeFileSync(train, 'text\tlabel\nfirst\ta\nsecond\tb\nthird\tc\n');
    const words: Record<string, string> = {
      a: ' not at all what I had asked for',
      b: ' quite what I had asked for',
      c: ' something else again, on the whole',
    };
    const request = answerRequest.parse({
      path,
      tokenizer: tokenizerFolder,
      task: {
        name: 'three',
        kind: 'classification',
        train,
        dev: train,
        textColumns: ['text'],
        labelColumn: 'label',
        labelWords: words,
        maxLength: 64,
      },
      seed: 1,
      input: { text: 'some text' },
      maxTokens: 8,
    });
    const said: RuntimeMessage[] = [];
    await answerOnce(request, (message) => said.push(message));
    const scores = said.flatMap((message) => (message.type === 'labels' ? message.scores : []));
    const { label } = scores.toSorted((x, y) => y.probability - x.probability)[0]!;
    const { encode } = await loadTokenizer(tokenizerFolder);
    const tokens = encode(words[label]!, { addSpecialTokens: false }).length;
    expect(tokens).toBeGreaterThan(3);
    expect(said.at(-1)).toMatchObject({ type: 'answered', answerTokens: tokens });
  });
});
