/** Conversations and other files of instructions, as people have them: found by their columns, and mapped to a text and an answer. */
import { isJsonObject, type Json, type JsonObject, ownValue, parseBoundedJson } from '../../basics/bounded-json.ts';
import type { ChatFormat, ChatLayout, ChatObstacle, DatasetRow, Source } from './dataset.ts';

export interface Turn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Not among a dataset's columns: what was said before the answer, as JSON of `Turn`s, for templates of chat models. */
export const turnsColumn = 'chat_turns';

const chatColumns = ['messages', 'conversations', 'conversation', 'dialogue', 'dialog', 'chat'];
const sampledRows = 50;
const roles: Readonly<Record<string, Turn['role'] | 'tool'>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  chatgpt: 'assistant',
  chatbot: 'assistant',
  tool: 'tool',
  function: 'tool',
  function_call: 'tool',
  tool_call: 'tool',
  tool_response: 'tool',
  observation: 'tool',
  ipython: 'tool',
};

type Values = DatasetRow['values'];
type Found = readonly Turn[] | ChatObstacle;

function parsed(text: string): Json | undefined {
  try {
    return parseBoundedJson(new TextEncoder().encode(text), 'A value');
  } catch {
    return undefined;
  }
}

/** The messages in a column's value; null where it is no list of them. */
function messagesIn(text: string | undefined): JsonObject[] | null {
  if (text?.trimStart().startsWith('[') !== true) return null;
  const list = parsed(text);
  if (!Array.isArray(list) || list.length === 0 || !list.every(isJsonObject)) return null;
  return list.every((each) => roleOf(each) !== undefined) ? list : null;
}

function roleOf(message: JsonObject): Turn['role'] | 'tool' | undefined {
  const name = ownValue(message, 'role') ?? ownValue(message, 'from');
  return typeof name === 'string' ? roles[name.toLowerCase()] : undefined;
}

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

/** The text of a message; parts that are no text make it unusable. */
function contentOf(message: JsonObject): { readonly text: string } | ChatObstacle {
  if (['tool_calls', 'function_call'].some((name) => !isEmpty(ownValue(message, name)))) return 'chat-tools';
  if (['images', 'audio', 'videos'].some((name) => !isEmpty(ownValue(message, name)))) return 'chat-media';
  const content = ownValue(message, 'content') ?? ownValue(message, 'value') ?? ownValue(message, 'text') ?? '';
  if (typeof content === 'string') return { text: content };
  if (!Array.isArray(content)) return 'chat-unreadable';
  let text = '';
  for (const part of content) {
    const said = isJsonObject(part) ? ownValue(part, 'text') : part;
    const type = isJsonObject(part) ? ownValue(part, 'type') : 'text';
    if (typeof said !== 'string' || (type !== 'text' && !isEmpty(type))) return 'chat-media';
    text += said;
  }
  return { text };
}

const isObstacle = (found: object | ChatObstacle): found is ChatObstacle => typeof found === 'string';

function turnsOf(messages: readonly JsonObject[]): Found {
  const turns: Turn[] = [];
  for (const message of messages) {
    const role = roleOf(message);
    if (role === undefined) return 'chat-unreadable';
    if (role === 'tool') return 'chat-tools';
    const content = contentOf(message);
    if (isObstacle(content)) return content;
    turns.push({ role, content: content.text });
  }
  return turns;
}

/** A transcript as of Anthropic's preference data: `Human: ... Assistant: ...`, each after a blank line; null for other texts. */
function transcript(text: string): Turn[] | null {
  const parts = text.split(/(?:^|\n\n)(Human|Assistant):/);
  if (parts.length < 5 || parts[0]!.trim() !== '') return null;
  return parts.flatMap((speaker, i): Turn[] =>
    i % 2 === 0 ? [] : [{ role: speaker === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() }],
  );
}

const asUser = (content: string | undefined): Turn[] =>
  (content ?? '') === '' ? [] : [{ role: 'user', content: content! }];
const asSystem = (content: string | undefined): Turn[] =>
  (content ?? '').trim() === '' ? [] : [{ role: 'system', content: content! }];

function preferred(values: Values, question: string | null): Found {
  const chosen = values['chosen'] ?? '';
  const before = question === null ? '' : (values[question] ?? '');
  const asked = messagesIn(before);
  const first = asked === null ? [...asSystem(values['system']), ...asUser(before)] : turnsOf(asked);
  if (isObstacle(first)) return first;
  const messages = messagesIn(chosen);
  const answer = messages === null ? transcript(chosen) : turnsOf(messages);
  if (answer === null) return chosen === '' ? first : [...first, { role: 'assistant', content: chosen }];
  if (isObstacle(answer)) return answer;
  return answer.some(({ role }) => role === 'user') ? answer : [...first, ...answer];
}

/** Earlier questions and answers as LLaMA-Factory writes them: a list of pairs. */
function history(text: string | undefined): Found {
  if ((text ?? '').trim() === '') return [];
  const pairs = parsed(text!);
  if (!Array.isArray(pairs)) return 'chat-unreadable';
  const turns: Turn[] = [];
  for (const pair of pairs) {
    const [question, answer] = Array.isArray(pair) ? pair : [];
    if (typeof question !== 'string' || typeof answer !== 'string') return 'chat-unreadable';
    turns.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }
  return turns;
}

function instructed(values: Values, output: string): Found {
  const earlier = history(values['history']);
  if (isObstacle(earlier)) return earlier;
  const asked = [values['instruction'] ?? '', values['input'] ?? ''].filter((part) => part.trim() !== '').join('\n\n');
  return [
    ...asSystem(values['system']),
    ...earlier,
    { role: 'user', content: asked },
    { role: 'assistant', content: values[output] ?? '' },
  ];
}

/** What is said up to the last answer, without a word missing; turns of one speaker in a row are one. */
export function conversation(
  found: Found,
): { readonly turns: readonly Turn[]; readonly answer: string } | ChatObstacle {
  if (isObstacle(found)) return found;
  const last = found.findLastIndex(({ role }) => role === 'assistant');
  const asked = found.slice(0, Math.max(0, last));
  if (last < 0 || !asked.some(({ role }) => role === 'user')) return 'chat-no-answer';
  const spoken = found.slice(0, last + 1);
  if (spoken.some(({ role, content }) => role !== 'system' && content.trim() === '')) return 'chat-empty-turn';
  const turns: Turn[] = [];
  for (const turn of asked) {
    const before = turns.at(-1);
    if (turn.content.trim() === '') continue;
    if (before?.role !== turn.role) turns.push(turn);
    else turns[turns.length - 1] = { role: turn.role, content: `${before.content}\n\n${turn.content}` };
  }
  return { turns, answer: found[last]!.content };
}

const speakers = { system: 'System', user: 'User', assistant: 'Assistant' } as const;

/** A conversation as plain text: what a single question needs is the question; several turns need their speakers. */
export function plainPrompt(turns: readonly Turn[]): string {
  const system = turns.filter(({ role }) => role === 'system').map(({ content }) => `${content}\n\n`);
  const rest = turns.filter(({ role }) => role !== 'system');
  const said =
    rest.length === 1
      ? rest[0]!.content
      : [...rest.map(({ role, content }) => `${speakers[role]}: ${content}`), 'Assistant:'].join('\n');
  return system.join('') + said;
}

interface Recognised {
  readonly format: ChatFormat;
  /** Null where the columns are used as they are. */
  readonly turns: ((values: Values) => Found) | null;
  readonly promptColumn: string;
  readonly answerColumn: string;
}

const media = (values: Values): boolean =>
  ['image', 'images', 'audio', 'audios', 'video', 'videos'].some(
    (name) => !/^\s*(\[\s*\])?\s*$/.test(values[name] ?? ''),
  );
const tools = (values: Values): boolean =>
  ['tools', 'functions'].some((name) => !/^\s*(\[\s*\]|\{\s*\})?\s*$/.test(values[name] ?? ''));

async function recognise(
  { columns, rows }: Source,
  ignored: Parameters<Source['rows']>[0],
): Promise<Recognised | null> {
  const find = (...names: string[]): string | null => names.find((name) => columns.includes(name)) ?? null;
  const free = !columns.includes('prompt') && !columns.includes('answer');
  const made = { promptColumn: free ? 'prompt' : 'chat_prompt', answerColumn: free ? 'answer' : 'chat_answer' };
  const candidates = chatColumns.filter((name) => columns.includes(name));
  if (candidates.length > 0) {
    const sample: Values[] = [];
    for await (const { values } of rows(ignored)) if (sample.push(values) >= sampledRows) break;
    for (const column of candidates) {
      const lists = sample.flatMap(({ [column]: text }) => messagesIn(text) ?? []);
      const filled = sample.filter(({ [column]: text }) => (text ?? '').trim() !== '').length;
      const readable = sample.filter(({ [column]: text }) => messagesIn(text) !== null).length;
      if (readable === 0 || readable < filled / 2) continue;
      const format =
        lists.filter((each) => ownValue(each, 'from') !== undefined).length > lists.length / 2
          ? 'sharegpt'
          : 'messages';
      const turns = (values: Values): Found => {
        const messages = messagesIn(values[column]);
        if (messages === null) return 'chat-unreadable';
        const found = turnsOf(messages);
        if (isObstacle(found) || found[0]?.role === 'system') return found;
        return [...asSystem(values['system']), ...found];
      };
      return { format, turns, ...made };
    }
  }
  if (columns.includes('chosen') && columns.includes('rejected')) {
    const question = find('prompt', 'question', 'instruction', 'query', 'input');
    return { format: 'preference', turns: (values) => preferred(values, question), ...made };
  }
  const output = find('output', 'response', 'completion');
  if (columns.includes('instruction') && output !== null)
    return { format: 'alpaca', turns: (values) => instructed(values, output), ...made };
  const completion = find('completion', 'response');
  if (columns.includes('prompt') && completion !== null)
    return { format: 'prompt-completion', turns: null, promptColumn: 'prompt', answerColumn: completion };
  const answer = find('answer', 'answers', 'response');
  if (columns.includes('question') && answer !== null)
    return { format: 'question-answer', turns: null, promptColumn: 'question', answerColumn: answer };
  return null;
}

/**
 * The source with columns for a conversation's text and its answer, where it is of a known format: `prompt` and `answer`, or
 * `chat_prompt` and `chat_answer` where the file has one of these itself. Its own columns stay what they are. The last turn of the
 * assistant is the answer, what comes before it the prompt (`plainPrompt`); what comes after is left out. A row without both has
 * neither, and says why.
 */
export async function withChats(
  source: Source,
  problems: Parameters<Source['rows']>[0],
): Promise<{ source: Source; chats: ChatLayout | null }> {
  const recognised = await recognise(source, problems);
  if (recognised === null) return { source, chats: null };
  const { turns, ...known } = recognised;
  const chats: ChatLayout = { ...known, derived: turns !== null };
  if (turns === null) return { source, chats };
  const { promptColumn, answerColumn } = known;
  const mapped = (row: DatasetRow): DatasetRow => {
    const obstacle = tools(row.values) ? 'chat-tools' : media(row.values) ? 'chat-media' : null;
    const found = conversation(obstacle ?? turns(row.values));
    if (isObstacle(found))
      return {
        ...row,
        values: { ...row.values, [promptColumn]: '', [answerColumn]: '' },
        leftOut: found,
      };
    const { turns: before, answer } = found;
    return {
      ...row,
      values: {
        ...row.values,
        [promptColumn]: plainPrompt(before),
        [answerColumn]: answer,
        [turnsColumn]: JSON.stringify(before),
      },
    };
  };
  return {
    chats,
    source: {
      ...source,
      columns: [...source.columns, promptColumn, answerColumn],
      async *rows(told) {
        for await (const row of source.rows(told)) yield mapped(row);
      },
    },
  };
}
