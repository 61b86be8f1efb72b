import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerRequest, type RuntimeMessage } from '../../contract/helper-protocol.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { tokenizerFolder, writeTinyStudent, writeTinyTask } from '../fixtures/tiny-student.ts';
import { answerOnce } from './answer.ts';

let root: string;
let path: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-answer-'));
  path = await writeTinyStudent(root);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('one answer', () => {
  it('counts the tokens of the label that it gives, not the classes', async () => {
    const words: Record<string, string> = {
      a: ' not at all what I had asked for',
      b: ' quite what I had asked for',
      c: ' something else again, on the whole',
    };
    const request = answerRequest.parse({
      path,
      tokenizer: tokenizerFolder,
      task: writeTinyTask(root, ['a', 'b', 'c'], { labelWords: words }),
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
