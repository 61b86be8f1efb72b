import { createRouterClient } from '@orpc/server';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { contract } from '../../../contract/procedures.ts';
import { forkPort } from '../../../jobs/fork-port.ts';
import { type Application, openApplication } from '../application.ts';
import { claimExperimentFolder } from '../../../experiment/record.ts';
import { workbenchRouter } from './router.ts';

type JsonSchema = Record<string, unknown> & {
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  additionalProperties?: JsonSchema | boolean;
};
type Call = (input: unknown) => Promise<unknown>;

/** Every procedure of the contract by its dotted name, with its input's JSON schema; null where it takes none. */
function procedures(node: object = contract, path: string[] = []): { name: string; input: JsonSchema | null }[] {
  const own = (node as { '~orpc'?: { inputSchema?: z.ZodType } })['~orpc'];
  if (own !== undefined) {
    const { inputSchema } = own;
    const input =
      inputSchema === undefined
        ? null
        : (z.toJSONSchema(inputSchema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as JsonSchema);
    return [{ name: path.join('.'), input }];
  }
  return Object.entries(node).flatMap(([key, child]) => procedures(child as object, [...path, key]));
}

/** Every free text in an input, as a dotted path: `id`, `settings.train`, `tags[]`; with `marked`, only those that are local paths. */
function texts(schema: JsonSchema, marked = false, path = ''): string[] {
  const into = (key: string) => (path === '' ? key : `${path}.${key}`);
  const free = schema.type === 'string' && schema.enum === undefined && schema['const'] === undefined;
  return [
    ...(free && (!marked || schema['localPath'] === true) ? [path] : []),
    ...Object.entries(schema.properties ?? {}).flatMap(([key, child]) => texts(child, marked, into(key))),
    ...(schema.items === undefined ? [] : texts(schema.items, marked, `${path}[]`)),
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((child) => texts(child, marked, path)),
    ...(typeof schema.additionalProperties === 'object' ? texts(schema.additionalProperties, marked, `${path}{}`) : []),
  ];
}

/**
 * What each text is. `name`: something in the workspace, so it must never become a path outside. `path`: a file or folder that the user
 * chooses, which is read by parsers only. `text`: shown and stored, never part of a path. `recipe`: checked by the recipe's own specs.
 */
const meaning: Record<string, 'name' | 'path' | 'text'> = {
  id: 'name',
  a: 'name',
  b: 'name',
  'ids[]': 'name',
  'names[]': 'text',
  'tags[]': 'text',
  notes: 'text',
  title: 'text',
  'input{}': 'text',
  token: 'text',
  proxy: 'text',
  // Of another computer: checked where it is read, and quoted for the shell there.
  place: 'text',
  text: 'text',
  folder: 'path',
  path: 'path',
  adapter: 'path',
  corpus: 'path',
  base: 'path',
  into: 'path',
  file: 'path',
};
/** Inputs whose texts are settings of a run: files that the user chose, columns, templates. */
const ofRun = /^(recipe|settings|inputs)\b|^teacher$|^content\b/;

/** A smallest valid value, with `text` at `target` (a path of `texts`) and at every other text something harmless. */
function example(schema: JsonSchema, target: string, text: string, path = ''): unknown {
  if (schema.enum !== undefined) return schema.enum[0];
  const choice = schema.anyOf?.[0] ?? schema.oneOf?.[0];
  if (choice !== undefined) return example(choice, target, text, path);
  if (schema.type === 'string') return path === target ? text : 'harmless';
  if (schema.type === 'integer' || schema.type === 'number') return Math.max(4, Number(schema['minimum'] ?? 4));
  if (schema.type === 'boolean') return false;
  if (schema.type === 'array') return [example(schema.items!, target, text, `${path}[]`)];
  const wanted = new Set([...(schema.required ?? []), ...(target.split(/[.[{]/, 1) as [string])]);
  return Object.fromEntries(
    Object.entries(schema.properties ?? {})
      .filter(([key]) => wanted.has(key))
      .map(([key, child]) => [key, example(child, target, text, path === '' ? key : `${path}.${key}`)]),
  );
}

const hostile = [
  '../../outside/secret',
  '../outside',
  '..',
  '.',
  '/etc/passwd',
  '..\\..\\outside\\secret',
  'a/../../../outside/secret',
  '%2e%2e%2foutside%2fsecret',
  'secret\0.json',
  'C:\\Windows\\win.ini',
  '__proto__',
  'constructor',
  'x'.repeat(5000),
];

let folder: string;
let application: Application;

/** Names and contents of everything under `folder`, but for the database and for drafts, whose ids the interface makes up. */
function snapshot(): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) =>
      entry.isFile() && !entry.name.startsWith('workbench.') && !entry.parentPath.endsWith(join('workspace', 'drafts')),
  );
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length), createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

function caller(name: string): Call {
  const client = createRouterClient(workbenchRouter(), { context: { application } });
  let found: unknown = client;
  for (const part of name.split('.')) found = (found as Record<string, unknown>)[part];
  return found as Call;
}

/** What a call answers, of a stream the first event; null when it refuses. */
async function outcome(name: string, input: unknown): Promise<unknown> {
  try {
    const answer = await caller(name)(input);
    if (typeof answer !== 'object' || answer === null || !(Symbol.asyncIterator in answer)) return answer;
    return (await (answer as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()).value;
  } catch {
    return null;
  }
}

beforeAll(async () => {
  // Some of the texts are good names of models: nobody answers for the Hub here.
  process.env['HF_ENDPOINT'] = 'http://127.0.0.1:9';
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-hostile-'));
  application = await openApplication({
    folder: join(folder, 'workspace'),
    shell: 'browser',
    paths: { kind: 'sender-is-user' },
    jobs: forkPort(),
    runtime: forkPort(join(import.meta.dirname, '..', '..', '..', 'jobs', 'helper-worker.ts')),
  });
  // Where a traversal from experiments/, drafts/ or benchmarks/ would arrive.
  for (const place of ['outside', 'workspace/outside'])
    for (const name of [
      'secret.json',
      'annotations.json',
      'experiment.json',
      'worker.json',
      'secret/annotations.json',
    ]) {
      const path = join(folder, place, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, '{"tags":["canary"],"notes":"canary","removed":false,"pid":1}');
    }
});
afterAll(async () => {
  await application.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('what the interface sends', () => {
  const all = procedures();

  it('is known text by text: whoever adds one says whether it is a name, a path or mere text', () => {
    expect(all.length).toBeGreaterThan(30);
    const unknown = all.flatMap(({ name, input }) =>
      texts(input ?? {})
        .filter((path) => meaning[path] === undefined && !ofRun.test(path))
        .map((path) => `${name}: ${path}`),
    );
    expect(unknown).toEqual([]);
  });

  it('is marked where it is a path, so that a page which may not read everything is asked about it', () => {
    const isPath = /(^|\.)(folder|path|teacher|studentBase|train|dev|corpus|moreRows|adapter|base|into|file)$/;
    const told = all.map(({ name, input }) => ({ name, paths: texts(input ?? {}, true) }));
    const named = all.map(({ name, input }) => ({
      name,
      paths: texts(input ?? {}).filter((path) => isPath.test(path)),
    }));
    expect(told).toEqual(named);
    expect(told.filter(({ paths }) => paths.length > 0).map(({ name }) => name)).toEqual([
      'experiments.start',
      'experiments.trainAgain',
      'results.review',
      'results.deploy',
      'teachers.inspect',
      'teachers.merge',
      'tasks.check',
      'tasks.preview',
      'tasks.checkCorpus',
      'recipes.make',
      'recipes.estimate',
      'recipes.rehearse',
      'files.browse',
      'files.reveal',
      'remote.start',
    ]);
  });

  const named = all.flatMap(({ name, input }) =>
    texts(input ?? {})
      .filter((path) => meaning[path] === 'name')
      .map((path) => ({ name, path, input: input! })),
  );
  it.each(named)('as $path of $name names nothing outside the workspace', async ({ name, path, input }) => {
    const before = snapshot();
    for (const text of hostile) {
      const answer = await outcome(name, example(input, path, text));
      const said = JSON.stringify(answer) ?? '';
      expect(said, `${name} ${path} = ${text.slice(0, 40)}`).not.toMatch(/canary|root:x/);
    }
    expect(snapshot()).toEqual(before);
  });

  it('as id of an experiment is no path for the workspace either', () => {
    for (const text of hostile.filter((each) => /[./\\%\0]/.test(each)))
      expect(() => application.workspace.experimentFolder(text), text).toThrow(/There is no experiment/);
  });

  it('as name of a recipe becomes a plain folder in the workspace', () => {
    const { experiments } = application.workspace.paths;
    for (const text of hostile)
      expect(claimExperimentFolder(experiments, text), text).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*-\d+$/);
    expect(readdirSync(experiments)).toHaveLength(hostile.length);
    expect(readdirSync(folder).sort()).toEqual(['outside', 'workspace']);
  });
});
