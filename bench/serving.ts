/**
 * `npm run bench -- serving --base <model> [--types F16,TQ2_0,Q2_0] [--clients 1,8,32] [--seconds 30] [--tokens 64] [--threads N] [--llama-server <program>] [--no-peer]
 * [--no-page] [--json]`: requests and tokens per second of `serve-model` and of llama.cpp on the same files, with so many clients at once.
 *
 * The files are the base model as F16 and a student of it that was refined (SubLN) but not trained: it writes nonsense, at the speed of one that was.
 * Two kinds of requests: completions of a fixed number of tokens, and the classes of the demo's tickets. llama.cpp has no classes to give: it is asked for one
 * token after the same prompt. llama.cpp is its own server where `--llama-server` names one, else node-llama-cpp's contexts behind the same interface
 * (serving/llama-peer.ts).
 */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TritsmithError } from '../main/contract/errors.ts';
import { type Recipe, recipeSchema } from '../main/contract/recipe.ts';
import { openDataset } from '../main/formats/datasets/index.ts';
import { installLlamaCpp } from '../main/llama-cpp/index.ts';
import { loadParameters, modelConfiguration } from '../main/models/open-model.ts';
import { writeDeployFolder } from '../main/pipeline/export/deploy-folder.ts';
import { writeGgufModel } from '../main/pipeline/export/gguf-file.ts';
import type { TensorSource } from '../main/pipeline/export/tensor-source.ts';
import { studentConfiguration } from '../main/pipeline/models-of-recipe.ts';
import { promptRenderer } from '../main/pipeline/task/task-rows.ts';
import { cacheFolder } from './cache.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { type Load, measureLoad, type Target } from './serving/load.ts';
import { llamaPeer, llamaServer, ourServer, type Running } from './serving/servers.ts';
import { loadNote, table } from './table.ts';

const kinds = ['completions', 'classes'] as const;
type Kind = (typeof kinds)[number];
const demo = fileURLToPath(new URL('../resources/demo', import.meta.url));
/** Tokens of a prompt and its answer at most. */
const context = 512;
const types = ['F16', 'I2_S', 'Q2_0', 'TQ2_0'] as const;
type Type = (typeof types)[number];

interface Measured {
  readonly type: Type;
  readonly kind: Kind;
  readonly server: string;
  /** By number of clients; a text where the file does not run there. */
  readonly loads: readonly Load[] | string;
}

interface Report {
  readonly circumstances: string;
  readonly base: string;
  readonly threads: number;
  readonly conversations: number;
  readonly tokens: number;
  readonly peer: string;
  readonly note: string;
  readonly measured: readonly Measured[];
}

/** As F16 the base, else a refined student of it, and the folder that it would be handed over in; written on first use. */
async function filesOf(base: string, type: Type, recipe: Recipe): Promise<{ file: string; folder: string }> {
  const stem = join(cacheFolder(), `serving-${basename(base, '.gguf')}-${type.toLowerCase()}`);
  const [file, folder] = [`${stem}.gguf`, `${stem}-task`];
  if (!existsSync(file)) {
    const configuration = type === 'F16' ? await modelConfiguration(base) : await studentConfiguration(recipe);
    const parameters = await loadParameters(base, configuration);
    const tensors: TensorSource = {
      read: (name) => Promise.resolve(parameters.view(name)),
      close: () => Promise.resolve(),
    };
    const model = { name: basename(stem), configuration, tensors, tokenizer: base };
    await writeGgufModel(file, model, { linear: type, embedding: 'F16' });
  }
  if (!existsSync(folder)) {
    const request = {
      path: file,
      pruned: false,
      runsIn: [],
      recipe,
      experiment: `${stem}-experiment`,
      card: '',
      into: folder,
    };
    await writeDeployFolder(request);
  }
  return { file, folder };
}

async function textsOf(recipe: Recipe): Promise<string[]> {
  const [column] = recipe.task.textColumns;
  const texts: string[] = [];
  for await (const { values } of (await openDataset(recipe.task.train)).rows()) texts.push(values[column!]!);
  return texts;
}

interface Settings {
  readonly base: string;
  readonly types: readonly Type[];
  readonly clients: readonly number[];
  readonly seconds: number;
  readonly tokens: number;
  readonly threads: number;
  /** Null: llama.cpp is left out. */
  readonly peer: { readonly program: string } | { readonly component: string } | null;
  note(text: string): void;
}

/** Runs the comparison: one server at a time, each measured with every number of clients. */
export async function compareServing(settings: Settings): Promise<Report> {
  const { base, clients, seconds, tokens, threads, peer, note } = settings;
  const conversations = Math.max(...clients);
  const demoRecipe = JSON.parse(readFileSync(join(demo, 'recipe.json'), 'utf8')) as Recipe;
  const task = { ...demoRecipe.task, train: join(demo, demoRecipe.task.train), dev: join(demo, demoRecipe.task.dev!) };
  const recipe = recipeSchema.parse({ ...demoRecipe, teacher: base, task, pretrain: null });
  const texts = await textsOf(recipe);
  const render = await promptRenderer(recipe.task);
  const [column] = recipe.task.textColumns;
  const prompts = await Promise.all(texts.map((text) => render({ [column!]: text })));
  const at = <T>(list: readonly T[], number: number): T => list[number % list.length]!;
  const measured: Measured[] = [];

  const measure = async (
    which: Pick<Measured, 'type' | 'kind' | 'server'>,
    start: () => Promise<Running>,
    target: Omit<Target, 'address'>,
  ): Promise<void> => {
    const server = await start().catch((error: unknown) => (error as Error).message);
    if (typeof server === 'string') {
      note(server.split('\n')[0]!);
      measured.push({ ...which, loads: server });
      return;
    }
    try {
      const loads: Load[] = [];
      for (const count of clients) {
        note(`${which.type}, ${which.kind}, ${which.server}, ${String(count)} clients ...`);
        loads.push(await measureLoad({ ...target, address: server.address }, count, seconds, Math.max(8, count)));
      }
      measured.push({ ...which, loads });
    } finally {
      await server.close();
    }
  };

  const theirs = (file: string): (() => Promise<Running>) | null =>
    peer === null
      ? null
      : () =>
          'program' in peer
            ? llamaServer(peer.program, file, threads, conversations, context)
            : llamaPeer(peer.component, file, threads, conversations, context);
  const written = (number: number): object => ({
    prompt: at(prompts, number),
    max_tokens: tokens,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
  // What llama.cpp's server would remember of an earlier prompt, or end early, has no part in the comparison.
  const more = { cache_prompt: false, ignore_eos: true };
  const llama = 'llama.cpp';
  const ours = 'Tritsmith';
  for (const type of settings.types) {
    note(`Files of ${basename(base)} as ${type} ...`);
    const files = await filesOf(base, type, recipe).catch((error: unknown) => TritsmithError.from(error));
    if (files instanceof TritsmithError) {
      note(files.message);
      for (const kind of kinds) measured.push({ type, kind, server: 'any', loads: files.message });
      continue;
    }
    const { file, folder } = files;
    const completions = { path: '/v1/completions', streamed: true };
    const here = { ...completions, body: written };
    await measure({ type, kind: 'completions', server: ours }, () => ourServer(file, threads, conversations), here);
    const start = theirs(file);
    if (start !== null) {
      const there = { ...completions, body: (number: number) => ({ ...written(number), ...more }) };
      await measure({ type, kind: 'completions', server: llama }, start, there);
    }
    const classes = { path: '/v1/classify', streamed: false, body: (number: number) => ({ input: at(texts, number) }) };
    await measure({ type, kind: 'classes', server: ours }, () => ourServer(folder, threads, conversations), classes);
    if (start !== null) {
      const body = (number: number) => ({ prompt: at(prompts, number), max_tokens: 1, temperature: 0, ...more });
      await measure({ type, kind: 'classes', server: llama }, start, {
        path: '/v1/completions',
        streamed: false,
        body,
      });
    }
  }
  return {
    circumstances: circumstances(),
    base: basename(base),
    threads,
    conversations,
    tokens,
    peer:
      peer === null
        ? 'none'
        : 'program' in peer
          ? 'its own server'
          : "node-llama-cpp's contexts behind the same interface",
    note: loadNote(loadavg()[0]!, availableParallelism(), threads),
    measured,
  };
}

const milliseconds = ({ median, high }: { median: number; high: number }): string =>
  `${(median * 1000).toFixed(0)} / ${(high * 1000).toFixed(0)}`;

function cellsOf(report: Report, kind: Kind): string[][] {
  const unit = kind === 'completions' ? 'tokens written/s' : 'tokens read/s';
  const first = kind === 'completions' ? ['first text, ms'] : [];
  const rows = report.measured
    .filter((each) => each.kind === kind)
    .flatMap(({ type, server, loads }) =>
      typeof loads === 'string'
        ? [[`${type}, ${server}`, '-', 'does not run', '-', '-', ...first.map(() => '-')]]
        : loads.map((load) => [
            `${type}, ${server}`,
            String(load.clients),
            load.requestsPerSecond.toFixed(2),
            load.tokensPerSecond.toFixed(1),
            milliseconds(load.latency),
            ...(load.first === null ? [] : [milliseconds(load.first)]),
          ]),
    );
  return [['file, server', 'clients', 'requests/s', unit, 'answer, ms', ...first], ...rows];
}

const titles: Readonly<Record<Kind, (report: Report) => string>> = {
  completions: ({ tokens }) => `Completions of ${String(tokens)} tokens`,
  classes: () => "Classes of the demo's tickets (`/v1/classify`; llama.cpp: one token after the same prompt)",
};

/** The report as a section of docs/results.md. */
export function servingPage(report: Report): string {
  return [
    `## Serving: ${report.base}`,
    `${report.circumstances}. ${String(report.threads)} threads, ${String(report.conversations)} conversations at once; llama.cpp: ${report.peer}. Median and 95th percentile of times. ${report.note}`,
    ...kinds.flatMap((kind) => [`### ${titles[kind](report)}`, markdownTable(cellsOf(report, kind))]),
  ].join('\n\n');
}

function isType(name: string): name is Type {
  return (types as readonly string[]).includes(name);
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      base: { type: 'string' },
      types: { type: 'string', default: 'F16,TQ2_0,Q2_0' },
      clients: { type: 'string', default: '1,8,32' },
      seconds: { type: 'string', default: '30' },
      tokens: { type: 'string', default: '64' },
      threads: { type: 'string', default: String(availableParallelism()) },
      'llama-server': { type: 'string' },
      'no-peer': { type: 'boolean', default: false },
      'no-page': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const wanted = values.types.split(',');
  const known = wanted.filter(isType);
  if (values.base === undefined || known.length < wanted.length)
    throw new Error(`Name a model with --base, and --types out of ${types.join(', ')}.`);
  const program = values['llama-server'];
  const report = await compareServing({
    base: values.base,
    types: known,
    clients: values.clients.split(',').map(Number),
    seconds: Number(values.seconds),
    tokens: Number(values.tokens),
    threads: Number(values.threads),
    peer: values['no-peer'] ? null : program !== undefined ? { program } : { component: await installLlamaCpp() },
    note: (text) => process.stderr.write(`${text}\n`),
  });
  if (!values['no-page']) writeSection(`serving --base ${report.base}`, servingPage(report));
  if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else for (const kind of kinds) process.stdout.write(`${titles[kind](report)}\n${table(cellsOf(report, kind))}\n\n`);
}
