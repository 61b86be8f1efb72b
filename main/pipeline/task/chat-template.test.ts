import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileTemplate } from '../../formats/tokenizers/index.ts';
import { makeTinyBase } from '../fixtures/tiny-experiment.ts';
import { chatTemplateFor } from './chat-template.ts';
import { checkTask } from './check-task.ts';
import { previewRows } from './preview-rows.ts';

interface Golden {
  conversations: Record<string, { role: string; content: string }[]>;
  cases: { model: string; template: string; bos_token: string; eos_token: string; prompts: Record<string, string> }[];
}
const golden = JSON.parse(
  readFileSync(fileURLToPath(new URL('golden/chat-templates.json', import.meta.url)), 'utf8'),
) as Golden;
const chats = { format: 'messages', promptColumn: 'prompt', answerColumn: 'answer', derived: true } as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-chat-template-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A tokenizer's words about itself. */
const tokenizerOf = ({ template, bos_token, eos_token }: Golden['cases'][number], addsBos: boolean) => ({
  chatTemplate: template,
  bosId: 0,
  eosId: 1,
  padId: null,
  unkId: null,
  idToToken: (id: number) => [bos_token, eos_token][id] ?? null,
  encode: () => (addsBos ? [0] : []),
});

describe('the prompt of a chat model', () => {
  const cases = golden.cases.flatMap((each) => Object.keys(golden.conversations).map((name) => ({ ...each, name })));
  it.each(cases)('$model, $name: is what transformers writes', async ({ name, ...model }) => {
    const turns = golden.conversations[name]!;
    const render = await compileTemplate(chatTemplateFor(tokenizerOf(model, false), ['prompt'], chats)!);
    const row = { messages: 'a column of this name', tools: '[]', prompt: 'not used', answer: 'x' };
    expect(await render({ ...row, chat_turns: JSON.stringify(turns) })).toBe(model.prompts[name]);
  });

  it('begins the text once, also where the tokenizer does so by itself', async () => {
    const strict = golden.cases.find(({ model }) => model === 'strict')!;
    const render = await compileTemplate(chatTemplateFor(tokenizerOf(strict, true), ['prompt'], chats)!);
    const text = await render({ prompt: 'x', chat_turns: JSON.stringify(golden.conversations['one question']) });
    expect(`<s>${text}`).toBe(strict.prompts['one question']);
  });

  it('asks with the columns of a table as one turn, and with a typed prompt', async () => {
    const strict = golden.cases.find(({ model }) => model === 'strict')!;
    const table = await compileTemplate(chatTemplateFor(tokenizerOf(strict, true), ['a', 'b c'], null)!);
    expect(await table({ a: 'first', 'b c': 'second' })).toContain('[INST] first\nsecond [/INST]');
    const typed = await compileTemplate(chatTemplateFor(tokenizerOf(strict, true), ['prompt'], chats)!);
    expect(await typed({ prompt: 'Hello' })).toContain('[INST] Hello [/INST]');
  });
});

describe('the check of a file of chats', () => {
  it('says format, template and what is left out; the preview shows the prompt with its special tokens', async () => {
    const teacher = join(folder, 'teacher');
    await makeTinyBase(teacher, {
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const says = (role: string, content: string) => ({ role, content });
    const train = join(folder, 'chats.jsonl');
    const rows = [
      [says('user', 'Where is my parcel?'), says('assistant', 'It is on its way.')],
      [says('user', 'My card fails.'), says('assistant', 'We send another card.')],
      [says('user', 'Look it up.'), says('tool', '{}'), says('assistant', 'Done.')],
      [says('user', 'Are you there?')],
    ];
    writeFileSync(train, rows.map((messages) => `${JSON.stringify({ messages })}\n`).join(''));
    const plain = await checkTask({ settings: { train }, teacher });
    expect(plain).toMatchObject({
      chats,
      chatTemplate: null,
      mapping: { kind: 'generation', textColumns: ['prompt'], labelColumn: 'answer' },
      train: { rows: 4, usableRows: 2 },
      trainable: true,
    });
    expect(plain.train.problems.map(({ kind, effect, examples }) => [kind, effect, examples])).toEqual([
      ['chat-tools', 'dropped', [3]],
      ['chat-no-answer', 'dropped', [4]],
    ]);
    const template =
      '{% for message in messages %}<{{ message.role }}>{{ message.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';
    writeFileSync(join(teacher, 'chat_template.jinja'), template);
    const { chatTemplate } = await checkTask({ settings: { train }, teacher });
    const { answer } = await previewRows({
      settings: { train, template: chatTemplate! },
      teacher,
      offset: 0,
      count: 1,
    });
    expect(answer.rows[0]).toMatchObject({ answer: 'It is on its way.' });
    expect(answer.rows[0]!.prompt).toMatch(/^<user>Where is my parcel\?<\S+><assistant>$/);
  });
});
