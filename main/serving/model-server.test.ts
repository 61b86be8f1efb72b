/** The model server over real HTTP, on a real process with a random student. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../native/runtime.ts';
import { deployedTask } from '../contract/deployed-task.ts';
import type { TaskSettings } from '../contract/recipe.ts';
import type { ModelToServe } from '../contract/serving-protocol.ts';
import { loadTokenizer } from '../formats/tokenizers/index.ts';
import { sampleRecipe } from '../jobs/fixtures/sample-recipe.ts';
import { servingPort } from '../jobs/serving-port.ts';
import { writeDeployFolder } from '../pipeline/export/deploy-folder.ts';
import { tokenizerFolder, writeTinyStudent, writeTinyTask } from '../pipeline/fixtures/tiny-student.ts';
import { promptRenderer } from '../pipeline/task/task-rows.ts';
import { type ModelServer, newToken, type ServerSettings, startModelServer } from './model-server.ts';

let root: string;
let path: string;
let task: TaskSettings;
let server: ModelServer;
const token = newToken();
const chatTemplate = '{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>';
const opened: ModelServer[] = [];

const model = (more: Partial<ModelToServe> = {}): ModelToServe => ({
  path,
  tokenizer: path,
  task: null,
  threads: 1,
  ...more,
});
async function start(more: Partial<ServerSettings> = {}): Promise<ModelServer> {
  const found = await startModelServer(servingPort, { model: model(), name: 'tiny', token, ...more });
  opened.push(found);
  return found;
}

interface Given {
  readonly to?: ModelServer;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}
const asked = (where: string, body: unknown, { to = server, headers = {}, signal }: Given = {}): Promise<Response> =>
  fetch(`${to.address}${where}`, {
    ...(body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(signal === undefined ? {} : { signal }),
  });
type Answer = Record<string, unknown> & {
  choices: { text: string; message: { content: string }; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  error: { message: string; type: string; param: string | null; code: string };
};
async function json(where: string, body?: unknown, given?: Given): Promise<{ status: number; body: Answer }> {
  const response = await asked(where, body, given);
  return { status: response.status, body: (await response.json()) as Answer };
}
const text = async (body: object, given?: Given): Promise<string> =>
  (await json('/v1/completions', body, given)).body.choices[0]!.text;
/** Data of the events of a stream. */
const events = (stream: string): string[] =>
  stream
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
/** Runs until it is stopped: the random student does not end by itself, and its context is long. */
const endless = { prompt: 'Once', max_tokens: 150_000, temperature: 0 };
const roomy = (): ModelToServe => model({ contextLength: 200_000 });

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-serving-'));
  path = await writeTinyStudent(root, chatTemplate);
  task = writeTinyTask(root, ['red', 'green', 'blue']);
  server = await start();
});
afterEach(async () => {
  await Promise.all(
    opened
      .splice(0)
      .filter((each) => each !== server)
      .map((each) => each.close(0)),
  );
});
afterAll(async () => {
  await server.close(0);
  rmSync(root, { recursive: true, force: true });
});

describe('the OpenAI interface', () => {
  it('lists its model, and knows no other', async () => {
    const { body } = await json('/v1/models');
    expect(body).toEqual({
      object: 'list',
      data: [{ id: 'tiny', object: 'model', created: expect.any(Number) as number, owned_by: 'tritsmith' }],
    });
    expect((await json('/v1/models/tiny')).body).toEqual((body['data'] as object[])[0]);
    const wrong = await json('/v1/completions', { model: 'gpt-4', prompt: 'Once' });
    expect([wrong.status, wrong.body.error.code, wrong.body.error.param]).toEqual([404, 'model_not_found', 'model']);
  });

  it('writes what the runtime writes after the same prompt', async () => {
    const { status, body } = await json('/v1/completions', { prompt: 'Where is', max_tokens: 12, temperature: 0 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^cmpl-/) as string,
      object: 'text_completion',
      model: 'tiny',
      choices: [{ index: 0, logprobs: null, finish_reason: 'length' }],
    });
    const tokenizer = await loadTokenizer(tokenizerFolder);
    const ids = Int32Array.from(tokenizer.encode('Where is'));
    const alone = loadModel(path, { threads: 1 });
    const { tokens } = await alone.generate(ids, { maxTokens: 12 });
    alone.close();
    expect(body.choices[0]!.text).toBe(tokenizer.decode(tokens));
    expect(body.usage).toEqual({
      prompt_tokens: ids.length,
      completion_tokens: 12,
      total_tokens: ids.length + 12,
    });
    expect(await text({ prompt: 'Where is', temperature: 0 })).toContain(body.choices[0]!.text);
  });

  it('gives a chat to the model through its own template', async () => {
    const messages = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
    ];
    const settings = { max_tokens: 8, temperature: 0 };
    const { body } = await json('/v1/chat/completions', { messages, ...settings });
    expect(body).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-/) as string,
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', refusal: null }, finish_reason: 'length' }],
    });
    const rendered = '<system>Be kind.\n<user>Hello\n<assistant>';
    expect(body.choices[0]!.message.content).toBe(await text({ prompt: rendered, ...settings }));
  });

  it('streams the same, chunk by chunk, and ends as the interface says', async () => {
    const request = { prompt: 'Where is', max_tokens: 12, temperature: 0 };
    const whole = await text(request);
    const response = await asked('/v1/completions', {
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const all = events(await response.text());
    expect(all.at(-1)).toBe('[DONE]');
    const chunks = all.slice(0, -1).map((data) => JSON.parse(data) as Answer);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(whole);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('length');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });

    const chat = await asked('/v1/chat/completions', {
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 4,
      stream: true,
    });
    const deltas = events(await chat.text())
      .slice(0, -1)
      .map((data) => JSON.parse(data) as { object: string; choices: [{ delta: object }] });
    expect(deltas[0]).toMatchObject({
      object: 'chat.completion.chunk',
      choices: [{ delta: { role: 'assistant', content: '' }, finish_reason: null }],
    });
    expect(deltas.at(-1)).toMatchObject({ choices: [{ delta: {}, finish_reason: 'length' }] });
  });

  it('samples by seed, temperature and top_p, and ends before a stop string', async () => {
    const sampled = { prompt: 'Once upon', max_tokens: 24, temperature: 1.5 };
    const first = await text({ ...sampled, seed: 3 });
    expect(await text({ ...sampled, seed: 3 })).toBe(first);
    expect(await text({ ...sampled, seed: 4 })).not.toBe(first);
    // The smallest share keeps the likeliest token alone.
    const greedy = await text({ ...sampled, temperature: 0 });
    expect(await text({ ...sampled, top_p: 0, seed: 5 })).toBe(greedy);
    const stop = greedy.slice(8, 12);
    const { body } = await json('/v1/completions', { ...sampled, temperature: 0, stop });
    expect(body.choices[0]).toMatchObject({ text: greedy.slice(0, greedy.indexOf(stop)), finish_reason: 'stop' });
  });

  it.each([
    ['n', { n: 2 }, 'n'],
    ['penalties', { presence_penalty: 1 }, 'presence_penalty'],
    ['echo', { echo: true }, 'echo'],
    ['logprobs', { logprobs: 3 }, 'logprobs'],
    ['several prompts', { prompt: ['a', 'b'] }, 'prompt'],
    ['a temperature beyond 2', { temperature: 3 }, 'temperature'],
    ['fields that nobody knows', { frobnicate: 1 }, 'frobnicate'],
  ])('refuses %s by name', async (_, more, param) => {
    const { status, body } = await json('/v1/completions', { prompt: 'Once', ...more });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: 'invalid_request_error', param });
    expect(body.error.message).toContain(param);
  });

  it('refuses tools and images in a chat', async () => {
    const messages = [{ role: 'user', content: 'Hello' }];
    expect((await json('/v1/chat/completions', { messages, tools: [] })).body.error.param).toBe('tools');
    const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }];
    expect((await json('/v1/chat/completions', { messages: image })).status).toBe(400);
  });

  it('refuses what is no JSON, what is too long or too deep, and prompts that the context does not hold', async () => {
    expect((await json('/v1/completions', '{')).body.error.code).toBe('not_json');
    expect((await json('/v1/completions', '['.repeat(100_000))).body.error.code).toBe('not_json');
    const plain = await json('/v1/completions', { prompt: 'Once' }, { headers: { 'content-type': 'text/plain' } });
    expect(plain.status).toBe(415);
    const long = await json('/v1/completions', { prompt: 'a'.repeat(2 ** 21) });
    expect([long.status, long.body.error.code]).toEqual([413, 'body_too_long']);
    const full = await json('/v1/completions', { prompt: 'word '.repeat(20_000) });
    expect([full.status, full.body.error.code]).toEqual([400, 'context_length_exceeded']);
    expect(full.body.error.message).toMatch(/context of \d+ tokens/);
    expect((await json('/v1/completions', { prompt: '' })).status).toBe(400);
  });

  it('refuses a body that is too long as it comes, where its length was not told', async () => {
    const { port } = new URL(server.address);
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const sent = request({ host: '127.0.0.1', port, path: '/v1/completions', method: 'POST', headers }, (found) => {
        found.resume();
        resolve(found.statusCode ?? 0);
      });
      sent.once('error', reject);
      for (let part = 0; part < 24; part += 1) sent.write('a'.repeat(65_536));
      sent.end();
    });
    expect(status).toBe(413);
  });

  it('answers other paths and methods with what there is', async () => {
    const nothing = await json('/v1/embeddings', {});
    expect([nothing.status, nothing.body.error.message]).toEqual([404, expect.stringContaining('/v1/classify')]);
    expect((await json('/v1/completions')).status).toBe(405);
    expect((await json('/v1/models', {})).status).toBe(405);
  });
});

describe('who may ask', () => {
  it('holds the token; health alone is open', async () => {
    for (const authorization of ['', 'Bearer ', `Bearer ${token}x`, `Basic ${token}`]) {
      const { status, body } = await json('/v1/completions', { prompt: 'Once' }, { headers: { authorization } });
      expect([status, body.error.type]).toEqual([401, 'authentication_error']);
    }
    const health = await fetch(`${server.address}/health`);
    expect(await health.json()).toEqual({ status: 'ok', model: 'tiny', conversations: 32, busy: 0, waiting: 0 });
  });

  it('comes from no web page', async () => {
    for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:1', 'https://127.0.0.1']) {
      const { status, body } = await json('/v1/completions', { prompt: 'Once' }, { headers: { origin } });
      expect([status, body.error.code]).toEqual([403, 'origin_refused']);
    }
  });

  it('names this machine as its host', async () => {
    const { port } = new URL(server.address);
    const ask = (host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { host, authorization: `Bearer ${token}` };
        request({ host: '127.0.0.1', port, path: '/v1/models', headers }, (found) => {
          found.resume();
          resolve(found.statusCode ?? 0);
        })
          .once('error', reject)
          .end();
      });
    expect(await ask(`evil.example:${port}`)).toBe(403);
    expect(await ask('127.0.0.1:1')).toBe(403);
    expect(await ask(`localhost:${port}`)).toBe(200);
  });

  it('needs no token where that was wished, on this machine alone', async () => {
    const open = await start({ token: null });
    const found = await fetch(`${open.address}/v1/models`);
    expect(found.status).toBe(200);
    const page = await fetch(`${open.address}/v1/models`, { headers: { origin: 'http://evil.example' } });
    expect(page.status).toBe(403);
    await expect(start({ token: null, host: '0.0.0.0' })).rejects.toThrow(/without a token/);
  });
});

describe('several clients', () => {
  it('give each what it gets alone, beside others, a long prompt and waiting ones', async () => {
    const prompts = ['Where is my', 'The invoice of', 'Please send', 'I want to', 'word '.repeat(12)];
    const ask = (prompt: string, to: ModelServer): Promise<string> =>
      text({ prompt, max_tokens: 20, temperature: 0.9, seed: 7 }, { to });
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await ask(prompt, server));
    expect(new Set(alone).size).toBe(prompts.length);
    const two = await start({ model: model({ conversations: 2 }) });
    for (const to of [server, two]) expect(await Promise.all(prompts.map((prompt) => ask(prompt, to)))).toEqual(alone);
  });

  it('are computed at once: an answer comes while an endless one goes on', async () => {
    const both = await start({ model: roomy() });
    const stop = new AbortController();
    await asked('/v1/completions', { ...endless, stream: true }, { to: both, signal: stop.signal });
    expect(await text({ prompt: 'Where is my', max_tokens: 5, temperature: 0 }, { to: both })).not.toBe('');
    expect(both.state).toMatchObject({ busy: 1, waiting: 0, answered: 1 });
    stop.abort();
    await expect.poll(() => both.state.busy).toBe(0);
  });

  it('sends away those that the queue does not hold, and says when to come again', async () => {
    const narrow = await start({ queue: 0, model: { ...roomy(), conversations: 1 } });
    const stop = new AbortController();
    const first = asked('/v1/completions', { ...endless, stream: true }, { to: narrow, signal: stop.signal });
    await first;
    const { status, headers, body } = await asked('/v1/completions', endless, { to: narrow }).then(async (found) => ({
      status: found.status,
      headers: found.headers,
      body: (await found.json()) as Answer,
    }));
    expect([status, body.error.type]).toEqual([429, 'rate_limit_error']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    stop.abort();
    await expect.poll(() => narrow.state.busy).toBe(0);
    expect((await json('/v1/completions', { prompt: 'Once' }, { to: narrow })).status).toBe(200);
  });

  it('stops the work of a client that goes away, running or waiting', async () => {
    const roomyServer = await start({ model: { ...roomy(), conversations: 1 } });
    const [running, waiting] = [new AbortController(), new AbortController()];
    await asked('/v1/completions', { ...endless, stream: true }, { to: roomyServer, signal: running.signal });
    const second = asked('/v1/completions', endless, { to: roomyServer, signal: waiting.signal });
    await expect.poll(() => roomyServer.state.waiting).toBe(1);
    waiting.abort();
    await expect(second).rejects.toThrow();
    await expect.poll(() => roomyServer.state).toMatchObject({ busy: 1, waiting: 0 });
    running.abort();
    await expect.poll(() => roomyServer.state).toEqual({ busy: 0, waiting: 0, answered: 0 });
  });

  it('gives up an answer that takes too long, and goes on', async () => {
    const hasty = await start({ answerSeconds: 0.5, model: roomy() });
    const { status, body } = await json('/v1/completions', endless, { to: hasty });
    expect([status, body.error.code]).toEqual([504, 'timeout']);
    const streamed = await asked('/v1/completions', { ...endless, stream: true }, { to: hasty });
    const last = events(await streamed.text()).at(-1)!;
    expect((JSON.parse(last) as Answer).error.code).toBe('timeout');
    await expect.poll(() => hasty.state.busy).toBe(0);
    expect((await json('/v1/completions', { prompt: 'Once' }, { to: hasty })).status).toBe(200);
  });
});

describe('labels', () => {
  const classifier = (more: Partial<TaskSettings> = {}) =>
    start({ model: model({ task: { settings: { ...task, ...more }, seed: 1, experiment: root } }) });
  interface Labelled {
    labels: string[];
    data: {
      index: number;
      label: string;
      score: number;
      unsure?: boolean;
      shortened: boolean;
      scores: { score: number }[];
    }[];
  }

  it('come with scores, for one text and for many, by column or not', async () => {
    const to = await classifier();
    const one = (await json('/v1/classify', { input: 'a red one' }, { to })).body as unknown as Labelled;
    expect(one.labels.toSorted()).toEqual(['blue', 'green', 'red']);
    expect(one.data).toHaveLength(1);
    const { label, score, scores, ...rest } = one.data[0]!;
    expect(rest).toEqual({ index: 0, shortened: false });
    expect(one.labels).toContain(label);
    expect(score).toBe(Math.max(...scores.map((each) => each.score)));
    expect(scores.reduce((sum, each) => sum + each.score, 0)).toBeCloseTo(1, 9);
    const input = ['a red one', { text: 'a red one' }, { text: 'word '.repeat(500) }];
    const many = (await json('/v1/classify', { input, unsure_below: 1 }, { to })).body as unknown as Labelled;
    expect(many.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const each of many.data.slice(0, 2))
      expect(each).toEqual({ ...one.data[0]!, index: each.index, unsure: true });
    expect(many.data[2]!.shortened).toBe(true);
  });

  it('of a long list are those of each text alone, digit for digit', async () => {
    const to = await classifier();
    const input = Array.from(
      { length: 40 },
      (_, i) => `a ${['red', 'green', 'blue'][i % 3]!} one${' and more'.repeat(i)}`,
    );
    const ask = async (wanted: string | string[]) =>
      ((await json('/v1/classify', { input: wanted }, { to })).body as unknown as Labelled).data;
    const alone: Labelled['data'] = [];
    for (const [index, each] of input.entries()) alone.push({ ...(await ask(each))[0]!, index });
    expect(await ask(input)).toEqual(alone);
  });

  it('are the same from a folder that was handed over, which knows nothing of the experiment', async () => {
    const into = join(root, 'handed-over');
    const recipe = { ...sampleRecipe('tiny', { teacher: tokenizerFolder, seed: 1 }), task };
    const request = { path, pruned: false, runsIn: [], recipe, experiment: root, card: '# Card\n', into };
    await writeDeployFolder(request);
    const given = deployedTask.parse(JSON.parse(readFileSync(join(into, 'task.json'), 'utf8')));
    const there = model({ path: join(into, given.model), tokenizer: into, task: { deployed: given } });
    const from = await start({ model: there });
    const input = ['a red one', 'something blue', 'word '.repeat(500)];
    const answers = [from, await classifier()].map((to) => json('/v1/classify', { input }, { to }));
    const [ofFolder, ofExperiment] = await Promise.all(answers);
    expect(ofFolder!.status).toBe(200);
    expect(ofFolder!.body).toEqual(ofExperiment!.body);
    const labels = given.labels!.map((each) => ({ ...each, tokens: [1_000_000] }));
    const wrong = start({ model: { ...there, task: { deployed: { ...given, labels } } } });
    await expect(wrong).rejects.toThrow('The labels in task.json are not those of student.gguf');
  });

  it('need the columns of the task and some text', async () => {
    const to = await classifier({ textColumns: ['text', 'label'] });
    for (const input of ['only one', [{ text: 'a', label: 'b' }, { text: 'a' }]]) {
      const { status, body } = await json('/v1/classify', { input }, { to });
      expect([status, body.error.code]).toEqual([400, 'columns']);
      expect(body.error.message).toContain('"text", "label"');
    }
    const { body } = await json('/v1/classify', { input: { text: ' ', label: '' } }, { to });
    expect(body.error.code).toBe('no_text');
    const chat = await json('/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }, { to });
    expect(chat.body.error.message).toContain('2 columns');
  });

  it('have none to give where the model is a file by itself', async () => {
    const { status, body } = await json('/v1/classify', { input: 'a red one' });
    expect([status, body.error.code]).toEqual([400, 'not_a_classifier']);
  });

  it('are what a chat with the student begins with: its own prompt, its usual length, the likeliest tokens', async () => {
    const to = await classifier();
    const chat = (content: string) => json('/v1/chat/completions', { messages: [{ role: 'user', content }] }, { to });
    const { body } = await chat('a red one');
    expect((await chat('a red one')).body.choices).toEqual(body.choices);
    const prompt = await (await promptRenderer(task))({ text: 'a red one' });
    const completed = await text({ prompt, max_tokens: body.usage.completion_tokens }, { to });
    expect(body.choices[0]!.message.content).toBe(completed.trimStart());
    const talk = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'a red one' },
    ];
    expect((await json('/v1/chat/completions', { messages: talk }, { to })).status).toBe(400);
  });
});

describe('the end', () => {
  it('lets what runs end, and takes nothing new', async () => {
    const short = await start({ model: roomy() });
    const request = { prompt: 'Once', max_tokens: 3000, temperature: 0, stream: true };
    const running = await asked('/v1/completions', request, { to: short });
    const closed = short.close(60);
    const late = asked('/v1/completions', { prompt: 'Once' }, { to: short });
    // A connection that was open already hears why, a new one is not taken.
    await late.then(
      (found) => {
        expect(found.status).toBe(503);
      },
      (thrown: unknown) => {
        expect((thrown as { cause: { code: string } }).cause.code).toBe('ECONNREFUSED');
      },
    );
    expect(events(await running.text()).at(-1)).toBe('[DONE]');
    await closed;
  });

  it('does not wait for what takes longer than the grace', async () => {
    const slow = await start({ model: roomy() });
    const running = await asked('/v1/completions', { ...endless, stream: true }, { to: slow });
    await slow.close(0.2);
    expect(events(await running.text()).at(-1)).toContain('shutting_down');
  });

  it('says why a file is no model, and frees the port', async () => {
    const { port } = new URL(server.address);
    await expect(start({ port: Number(port) })).rejects.toThrow(/port \d+ cannot be used/);
    await expect(start({ model: model({ path: join(tokenizerFolder, 'tokenizer.json') }) })).rejects.toThrow();
  });
});
