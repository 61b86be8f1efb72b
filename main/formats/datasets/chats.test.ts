import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-chats-'));
});
afterAll(() => rm(folder, { recursive: true }));

let files = 0;
async function read(rows: readonly object[], as: 'jsonl' | 'json' = 'jsonl') {
  const file = path.join(folder, `${files++}.${as}`);
  await writeFile(file, as === 'json' ? JSON.stringify(rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return readFile(file);
}
async function readFile(file: string) {
  const { columns, chats, rows } = await openDataset(file);
  const found: [string, string][] = [];
  const leftOut: (string | undefined)[] = [];
  const turns: unknown[] = [];
  for await (const row of rows()) {
    found.push([row.values[chats!.promptColumn]!, row.values[chats!.answerColumn]!]);
    leftOut.push(row.leftOut);
    turns.push(row.values['chat_turns'] === undefined ? null : JSON.parse(row.values['chat_turns']));
  }
  return { columns, chats, found, leftOut, turns };
}
const says = (role: string, content: unknown, more = {}) => ({ role, content, ...more });
const hello = [says('user', 'Hello'), says('assistant', 'Hi!')];

describe('conversations become a prompt and an answer', () => {
  it.each(['jsonl', 'json'] as const)(
    'from messages in %s: the last answer, and all that came before it',
    async (as) => {
      const { columns, chats, found, turns, leftOut } = await read(
        [
          { id: 1, messages: hello },
          {
            id: 2,
            messages: [
              says('system', 'Be brief.'),
              ...hello,
              says('user', [{ type: 'text', text: 'And now?' }]),
              says('assistant', 'Bye.'),
              says('user', 'ok'),
            ],
          },
          {
            id: 3,
            messages: [
              says('developer', 'One word.'),
              says('user', 'Queue?'),
              says('user', 'Card stolen.'),
              says('assistant', 'cards'),
            ],
          },
        ],
        as,
      );
      expect(chats).toEqual({ format: 'messages', promptColumn: 'prompt', answerColumn: 'answer', derived: true });
      expect(columns).toEqual(['id', 'messages', 'prompt', 'answer']);
      expect(found).toEqual([
        ['Hello', 'Hi!'],
        ['Be brief.\n\nUser: Hello\nAssistant: Hi!\nUser: And now?\nAssistant:', 'Bye.'],
        ['One word.\n\nQueue?\n\nCard stolen.', 'cards'],
      ]);
      expect(leftOut).toEqual([undefined, undefined, undefined]);
      expect(turns[2]).toEqual([says('system', 'One word.'), says('user', 'Queue?\n\nCard stolen.')]);
    },
  );

  it('from ShareGPT, with the system text of its own column', async () => {
    const conversations = [
      { from: 'human', value: 'Where is it?' },
      { from: 'gpt', value: 'On its way.' },
    ];
    const { chats, found } = await read([{ conversations }, { conversations, system: 'You are a clerk.' }]);
    expect(chats!.format).toBe('sharegpt');
    expect(found).toEqual([
      ['Where is it?', 'On its way.'],
      ['You are a clerk.\n\nWhere is it?', 'On its way.'],
    ]);
  });

  it('from Parquet', async () => {
    const file = path.join(folder, 'chats.parquet');
    await writeFile(
      file,
      new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'messages', data: [hello, hello], type: 'JSON' }] })),
    );
    const { chats, found } = await readFile(file);
    expect(chats!.format).toBe('messages');
    expect(found).toEqual([
      ['Hello', 'Hi!'],
      ['Hello', 'Hi!'],
    ]);
  });

  it('from alpaca, with and without input, and with what was said before', async () => {
    const { chats, columns, found } = await read([
      { instruction: 'Translate.', input: 'Hund', output: 'dog' },
      { instruction: 'Say hello.', input: '', output: 'Hello.' },
      { instruction: 'And cat?', input: '', output: 'cat', history: [['Hund?', 'dog']] },
    ]);
    expect(chats!.format).toBe('alpaca');
    expect(columns.slice(0, 3)).toEqual(['instruction', 'input', 'output']);
    expect(found).toEqual([
      ['Translate.\n\nHund', 'dog'],
      ['Say hello.', 'Hello.'],
      ['User: Hund?\nAssistant: dog\nUser: And cat?\nAssistant:', 'cat'],
    ]);
  });

  it.each([
    ['texts', { question: 'Why?', chosen: 'Because.', rejected: 'No.' }],
    [
      'messages that repeat the question',
      {
        question: 'Why?',
        chosen: [says('user', 'Why?'), says('assistant', 'Because.')],
        rejected: [says('assistant', 'No.')],
      },
    ],
    [
      'messages of the answer alone',
      {
        question: [says('user', 'Why?')],
        chosen: [says('assistant', 'Because.')],
        rejected: [says('assistant', 'No.')],
      },
    ],
    [
      'transcripts',
      { chosen: '\n\nHuman: Why?\n\nAssistant: Because.', rejected: '\n\nHuman: Why?\n\nAssistant: No.' },
    ],
  ])('from the chosen side of preferences: %s', async (_, row) => {
    const { chats, found } = await read([row, row]);
    expect(chats!.format).toBe('preference');
    expect(found).toEqual([
      ['Why?', 'Because.'],
      ['Why?', 'Because.'],
    ]);
  });

  it('and two columns that are a question and its answer stay what they are', async () => {
    const asked = await read([{ question: 'Why?', answer: 'Because.' }]);
    expect(asked).toMatchObject({
      columns: ['question', 'answer'],
      chats: { format: 'question-answer', derived: false },
    });
    const prompted = await read([{ prompt: 'Why?', completion: 'Because.' }]);
    expect(prompted).toMatchObject({
      columns: ['prompt', 'completion'],
      chats: { format: 'prompt-completion', derived: false },
    });
    expect(prompted.found).toEqual([['Why?', 'Because.']]);
  });

  it("never takes the place of the file's own columns", async () => {
    const { columns, chats, found } = await read([{ prompt: 'mine', messages: hello }]);
    expect(chats).toMatchObject({ promptColumn: 'chat_prompt', answerColumn: 'chat_answer' });
    expect(columns).toEqual(['prompt', 'messages', 'chat_prompt', 'chat_answer']);
    expect(found).toEqual([['Hello', 'Hi!']]);
  });
});

describe('a conversation that is no text and answer is left out, and says why', () => {
  const call = { tool_calls: [{ type: 'function', function: { name: 'look_up', arguments: '{}' } }] };
  it.each([
    [
      'chat-tools',
      {
        messages: [
          says('user', 'Where?'),
          says('assistant', null, call),
          says('tool', '{}'),
          says('assistant', 'There.'),
        ],
      },
    ],
    ['chat-tools', { messages: hello, tools: [{ type: 'function' }] }],
    [
      'chat-media',
      {
        messages: [
          says('user', [
            { type: 'text', text: 'What?' },
            { type: 'image_url', image_url: { url: 'x' } },
          ]),
          says('assistant', 'A dog.'),
        ],
      },
    ],
    ['chat-media', { messages: hello, images: ['dog.png'] }],
    ['chat-empty-turn', { messages: [says('user', ' '), says('assistant', 'Hi!')] }],
    ['chat-empty-turn', { messages: [says('user', 'Hello'), says('assistant', null)] }],
    ['chat-no-answer', { messages: [says('user', 'Hello')] }],
    ['chat-no-answer', { messages: [says('system', 'Be brief.'), says('assistant', 'Hi!')] }],
    ['chat-unreadable', { messages: 'Hello' }],
    ['chat-unreadable', { messages: [says('wizard', 'Hello')] }],
  ])('%s: %j', async (obstacle, row) => {
    const { found, leftOut } = await read([{ messages: hello }, row]);
    expect(found).toEqual([
      ['Hello', 'Hi!'],
      ['', ''],
    ]);
    expect(leftOut).toEqual([undefined, obstacle]);
  });

  it('while a table whose column is only called so is none', async () => {
    const file = path.join(folder, 'table.csv');
    await writeFile(file, 'messages,label\nhello,1\nbye,0\n');
    const { chats, columns } = await openDataset(file);
    expect([chats, columns]).toEqual([null, ['messages', 'label']]);
  });
});
