import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deployedTask } from '../../contract/deployed-task.ts';
import type { DeployRequest } from '../../contract/queries.ts';
import { recipeSchema, type TaskSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { tinyConfiguration, tinyParameters } from '../../models/fixtures/tiny-model.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { llamaCppForTests, needsLlamaCpp } from '../../testing/llama-cpp.ts';
import { tokenizerFolder, writeTinyTask } from '../fixtures/tiny-student.ts';
import { promptPieces } from '../task/prompt-pieces.ts';
import { readLabelWords } from '../task/task-data.ts';
import { promptRenderer } from '../task/task-rows.ts';
import { writeDeployFolder } from './deploy-folder.ts';
import { writeGgufModel } from './gguf-file.ts';
import { openTensorSource } from './tensor-source.ts';

const run = promisify(execFile);
const component = llamaCppForTests();
let root: string;
let path: string;
let task: TaskSettings;
let into: string;
let number = 0;

const request = (more: Partial<DeployRequest> = {}, settings: Partial<TaskSettings> = {}): DeployRequest => ({
  path,
  pruned: false,
  runsIn: ['Tritsmith', 'llama.cpp'],
  recipe: recipeSchema.parse({
    name: 'tiny',
    seed: 1,
    teacher: tokenizerFolder,
    task: { ...task, ...settings },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { steps: 1, optimiser: { learningRate: 1e-3 } },
  }),
  experiment: join(root, `experiment-${String(number)}`),
  card: '# Card\n',
  into,
  ...more,
});
const text = (name: string): string => readFileSync(join(into, name), 'utf8');

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-deploy-'));
  path = join(root, 'student.gguf');
  const configuration = tinyConfiguration({ subln: 'none' });
  const source = join(root, 'student');
  await saveModelFolder(source, tokenizerFolder, configuration, tinyParameters(configuration));
  const tensors = await openTensorSource(source, configuration);
  const tokenizer = await loadTokenizer(tokenizerFolder);
  await writeGgufModel(
    path,
    { name: 'tiny', configuration, tensors, tokenizer },
    { linear: 'TQ2_0', embedding: 'F16' },
    () => Promise.resolve(),
  );
  await tensors.close();
  task = writeTinyTask(root, ['order', 'order status', 'say "hi"\\'], {
    rules: 2,
    template: "Text: {{ text }}\nIt's $about:",
  });
});
beforeEach(() => {
  number += 1;
  into = join(root, `folder-${String(number)}`);
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

describe('a folder to hand over', () => {
  it('holds the file, the tokenizer, the card, and the task with the labels as they were trained', async () => {
    const made = await writeDeployFolder(request());
    expect(made.files).toEqual(readdirSync(into).toSorted());
    expect(made.files).toEqual(
      expect.arrayContaining(['model-card.md', 'README.md', 'example.py', 'example.sh', 'labels.gbnf', 'student.gguf']),
    );
    expect(readFileSync(join(into, 'student.gguf')).equals(readFileSync(path))).toBe(true);
    expect(text('tokenizer.json')).toBe(readFileSync(join(tokenizerFolder, 'tokenizer.json'), 'utf8'));
    expect(text('model-card.md')).toBe('# Card\n');
    const given = deployedTask.parse(JSON.parse(text('task.json')));
    const { classes, words, ids } = await readLabelWords(task, await loadTokenizer(tokenizerFolder), 1);
    expect(given.labels).toEqual(classes.map((label, at) => ({ label, words: words[at], tokens: [...ids[at]!] })));
    expect(given.task).toEqual({
      name: task.name,
      kind: task.kind,
      textColumns: task.textColumns,
      template: task.template,
      maxLength: task.maxLength,
      maxNewTokens: task.maxNewTokens,
    });
    // Nothing of the rows or of where they lie.
    for (const name of made.files.filter((each) => each !== 'student.gguf' && each !== 'tokenizer.json'))
      expect(text(name)).not.toContain(root);
  });

  it('is not written over what is there, nor where no folder is, and nothing half-made stays', async () => {
    await writeDeployFolder(request());
    await expect(writeDeployFolder(request())).rejects.toThrow('There is something in');
    await expect(writeDeployFolder(request({ into: join(root, 'no', 'such') }))).rejects.toThrow('There is no folder');
    const elsewhere = join(root, 'elsewhere');
    await expect(writeDeployFolder(request({ into: elsewhere, path: join(root, 'none.gguf') }))).rejects.toThrow();
    expect(existsSync(elsewhere)).toBe(false);
    expect(readdirSync(root).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('has no labels where answers are written', async () => {
    await writeDeployFolder(request({}, { kind: 'generation', maxNewTokens: 17 }));
    expect(readdirSync(into)).not.toContain('labels.gbnf');
    expect(deployedTask.parse(JSON.parse(text('task.json'))).labels).toBeNull();
    expect(text('example.sh')).toContain('-n 17 ');
    expect(text('README.md')).toContain('at most 17 tokens');
  });

  it('has examples only for programs that run the file and prompts that a few lines can make', async () => {
    await writeDeployFolder(request({ runsIn: ['Tritsmith'] }));
    expect(readdirSync(into)).not.toContain('example.sh');
    expect(text('README.md')).not.toContain('llama.cpp or');
    into += '-b';
    await writeDeployFolder(request({}, { template: '{{ text | upper }}' }));
    expect(readdirSync(into)).not.toContain('example.py');
    expect(text('README.md')).toContain('Jinja');
  });
});

describe('the pieces of a prompt', () => {
  it('are its texts and columns', async () => {
    expect(await promptPieces({ template: '', textColumns: ['a', 'b c'] })).toEqual(['', 0, '\n', 1, '']);
    const template = 'Q: {{ row["b c"] }} {{ a }} {{ row["b c"] }}';
    expect(await promptPieces({ template, textColumns: ['a', 'b c'] })).toEqual(['Q: ', 1, ' ', 0, ' ', 1, '']);
  });

  it.each([
    ['changes the case of a text', '{{ text | upper }}'],
    ['takes blanks away', '{{ text | trim }}.'],
    ['puts lines together', '{{ text.replace("\\n", " ") }}'],
    ['leaves a column out', 'always the same'],
    ['depends on the length', '{% if text | length > 10 %}{{ text }}{% else %}short: {{ text }}{% endif %}'],
  ])('are none of a template that %s', async (_, template) => {
    expect(await promptPieces({ template, textColumns: ['text'] })).toBeNull();
  });
});

const odd = 'it\'s "odd" $HOME `x` \\n %s\nsecond line ';

describe('the examples', () => {
  it('give llama.cpp the prompt of the training, whatever is in the text', async () => {
    await writeDeployFolder(request());
    const program = join(root, 'fake-llama');
    writeFileSync(program, '#!/bin/sh\nfor each in "$@"; do printf "%s\\0" "$each"; done\n');
    chmodSync(program, 0o755);
    const env = { ...process.env, LLAMA: program };
    const { stdout } = await run('sh', [join(into, 'example.sh'), odd], { env });
    const given = stdout.split('\0');
    const after = (flag: string) => given[given.indexOf(flag) + 1];
    expect(after('-p')).toBe(await (await promptRenderer(task))({ text: odd }));
    expect([after('-m'), after('--grammar-file')]).toEqual(['student.gguf', 'labels.gbnf']);
  });

  it('are no place for what a data file calls its columns', async () => {
    const evil = 'a\necho pwned >&2 #"""\n';
    const columns = { textColumns: [evil], template: '' };
    const train = join(root, 'evil.jsonl');
    writeFileSync(train, ['one', 'two'].map((label) => `${JSON.stringify({ [evil]: 'x', label })}\n`).join(''));
    await writeDeployFolder(request({}, { ...columns, train, dev: train }));
    for (const name of ['example.sh', 'example.py']) expect(text(name)).not.toMatch(/^\s*echo/m);
    const env = { ...process.env, LLAMA: 'echo' };
    const { stdout, stderr } = await run('sh', [join(into, 'example.sh'), 'text'], { env });
    expect([stdout.includes('student.gguf'), stderr]).toEqual([true, '']);
  });

  it('ask a server the same from Python, and name the label', async () => {
    await writeDeployFolder(request());
    const asked: { prompt: string; grammar: string }[] = [];
    const server = createServer((question, reply) => {
      let body = '';
      question.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      question.on('end', () => {
        asked.push(JSON.parse(body) as (typeof asked)[number]);
        reply.end(JSON.stringify({ content: given.labels![1]!.words }));
      });
    });
    const given = deployedTask.parse(JSON.parse(text('task.json')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    writeFileSync(join(into, 'example.py'), text('example.py').replaceAll(':8080/', `:${String(port)}/`));
    const { stdout } = await run('python3', ['example.py', odd], { cwd: into });
    server.close();
    expect(stdout).toBe(`${given.labels![1]!.label}\n`);
    expect(asked).toMatchObject([
      { prompt: await (await promptRenderer(task))({ text: odd }), grammar: text('labels.gbnf') },
    ]);
  });

  it.skipIf(component === null)(`hold llama.cpp to the labels ${needsLlamaCpp}`, async () => {
    await writeDeployFolder(request());
    interface Library {
      getLlama(options: object): Promise<{
        createGrammar(options: { grammar: string }): Promise<object>;
        loadModel(options: { modelPath: string; gpuLayers: number }): Promise<{
          createContext(options: object): Promise<{ getSequence(): object; dispose(): Promise<void> }>;
          dispose(): Promise<void>;
        }>;
        dispose(): Promise<void>;
      }>;
      LlamaCompletion: new (options: { contextSequence: object }) => {
        generateCompletion(prompt: string, options: object): Promise<string>;
      };
    }
    const entry = join(component!, 'node_modules', 'node-llama-cpp', 'dist', 'index.js');
    const { getLlama, LlamaCompletion } = (await import(pathToFileURL(entry).href)) as Library;
    const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false });
    const model = await llama.loadModel({ modelPath: join(into, 'student.gguf'), gpuLayers: 0 });
    const context = await model.createContext({ contextSize: 64, threads: 1 });
    const given = deployedTask.parse(JSON.parse(text('task.json')));
    const words = given.labels!.map((each) => each.words);
    const render = await promptRenderer(task);
    const completion = new LlamaCompletion({ contextSequence: context.getSequence() });
    const grammar = await llama.createGrammar({ grammar: text('labels.gbnf') });
    for (const about of ['red', 'a long story']) {
      const prompt = await render({ text: about });
      const answer = await completion.generateCompletion(prompt, { grammar, temperature: 0, maxTokens: 12 });
      // It may trim what it completes.
      expect(words.map((word) => word.trim())).toContain(answer.trim());
    }
    await context.dispose();
    await model.dispose();
    await llama.dispose();
  });
});
