/**
 * `npm run bench -- agreement --model <gguf> [--ours <gguf>] [--tokenizer <folder> --text <file>] [--prompts 64] [--json]`: the file in
 * llama.cpp (installed first if need be) beside our own runtime: greedy tokens and log-probabilities. `--ours` names a file of
 * the same student that our runtime executes, where it does not execute the other (TQ1_0, Q4_0).
 *
 * llama.cpp multiplies ternary weights by activations that it rounds to int8 in blocks of 256, ours rounds once per token as in training.
 * So the two are also compared with the student on unrounded activations: llama.cpp may be as far from it as our runtime is, not farther.
 */
import { readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type GgufTensorToWrite, openGguf, writeGguf } from '../main/formats/gguf/index.ts';
import { loadTokenizer } from '../main/formats/tokenizers/index.ts';
import { loadModel, type StudentModel } from '../native/runtime.ts';
import { installLlamaCpp, startLlamaCpp } from '../main/llama-cpp/index.ts';
import { cacheFolder } from './cache.ts';

const continuation = 8;

export interface AgreementReport {
  model: string;
  prompts: number;
  /** Greedy tokens, and how many of llama.cpp's are our runtime's. */
  tokens: number;
  sameTokens: number;
  /** Tokens that differ although our best two are further apart than twice the largest difference at that place. */
  unexplainedTokens: number;
  /** Prompts whose eight tokens are all the same. */
  samePrompts: number;
  largestDifference: number;
  /** Root mean square differences of log-probabilities of the 64 likeliest tokens: between the two, and of each from unrounded activations. */
  rmsBetween: number;
  rmsOursFromUnrounded: number | null;
  rmsTheirsFromUnrounded: number | null;
}

/** The ternary student as a dense F32 file, which our runtime executes without rounding activations; null where nothing is ternary. */
async function unroundedCopy(path: string): Promise<string | null> {
  const file = await openGguf(path);
  try {
    const ternary = (type: string): boolean => ['I2_S', 'Q2_0', 'TQ1_0', 'TQ2_0', 'T3_4'].includes(type);
    if (![...file.tensors.values()].some(({ type }) => ternary(type))) return null;
    const tensors: GgufTensorToWrite[] = [];
    for (const [name, { type, shape }] of file.tensors) {
      if (name.endsWith('.scale')) continue;
      const scaleName = name.replace(/\.weight$/, '.scale');
      const data = async (): Promise<Float32Array> => {
        const values = await file.readFloat32(name);
        const scale = file.tensors.has(scaleName) ? (await file.readFloat32(scaleName))[0]! : 1;
        return values.map((value) => value * scale);
      };
      tensors.push({ name, shape, type: 'F32', data: ternary(type) ? data : () => file.readFloat32(name) });
    }
    const target = join(cacheFolder(), `unrounded-${process.pid}.gguf`);
    await writeGguf(target, file.metadata, tensors);
    return target;
  } finally {
    await file.close();
  }
}

function logSoftmax(logits: Float32Array): Float32Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return logits.map((value) => value - most - Math.log(sum));
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let id = 1; id < values.length; id += 1) if (values[id]! > values[best]!) best = id;
  return best;
}

/** Log-probabilities after each position from `from` on. */
function scores(model: StudentModel, ids: Int32Array, from: number): Float32Array[] {
  model.reset();
  const all = model.logits(ids);
  const width = model.info.vocabularySize;
  return Array.from({ length: ids.length - from }, (_, index) =>
    logSoftmax(all.subarray((from + index) * width, (from + index + 1) * width)),
  );
}

async function promptsFrom(
  count: number,
  vocabulary: number,
  tokenizer?: string,
  text?: string,
): Promise<Int32Array[]> {
  if (tokenizer === undefined || text === undefined)
    return Array.from({ length: count }, (_, index) =>
      Int32Array.from({ length: 4 + (index % 29) }, (_, at) => 5 + ((index * 7919 + at * 104_729) % (vocabulary - 5))),
    );
  const { encode } = await loadTokenizer(tokenizer);
  const lines = readFileSync(text, 'utf8')
    .slice(0, 4_000_000)
    .split('\n')
    .filter((line) => line.trim().length > 20);
  return Array.from({ length: Math.min(count, lines.length) }, (_, index) =>
    Int32Array.from(encode(lines[Math.floor((index * lines.length) / count)]!)).subarray(0, 48),
  );
}

/** Compares `path` in llama.cpp with `ours` (the same student) in our runtime on `prompts`. */
export async function agreementWithLlama(
  path: string,
  ours: string,
  prompts: readonly Int32Array[],
): Promise<AgreementReport> {
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0) + continuation;
  const own = loadModel(ours, { kvType: 'f32' });
  const unroundedPath = await unroundedCopy(path);
  const unrounded = unroundedPath === null ? null : loadModel(unroundedPath, { kvType: 'f32' });
  const peer = await startLlamaCpp(await installLlamaCpp(), path, { contextLength: Math.max(256, longest) });
  const report: AgreementReport = {
    model: basename(path),
    prompts: prompts.length,
    tokens: 0,
    sameTokens: 0,
    unexplainedTokens: 0,
    samePrompts: 0,
    largestDifference: 0,
    rmsBetween: 0,
    rmsOursFromUnrounded: null,
    rmsTheirsFromUnrounded: null,
  };
  const squares = { between: 0, ours: 0, theirs: 0, count: 0 };
  for (const prompt of prompts) {
    const { tokens } = await (own.reset(), own.generate(prompt, { maxTokens: continuation }));
    const ids = Int32Array.from([...prompt, ...tokens.slice(0, -1)]);
    const from = prompt.length - 1;
    const mine = scores(own, ids, from);
    const theirs = (await peer.logits(ids, from)).map(logSoftmax);
    const exact = unrounded === null ? null : scores(unrounded, ids, from);
    let same = 0;
    for (const [step, row] of mine.entries()) {
      const other = theirs[step]!;
      const likeliest = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 64);
      let here = 0;
      for (const id of likeliest) {
        here = Math.max(here, Math.abs(row[id]! - other[id]!));
        squares.between += (row[id]! - other[id]!) ** 2;
        if (exact) {
          squares.ours += (row[id]! - exact[step]![id]!) ** 2;
          squares.theirs += (other[id]! - exact[step]![id]!) ** 2;
        }
        squares.count += 1;
      }
      report.largestDifference = Math.max(report.largestDifference, here);
      report.tokens += 1;
      if (argmax(other) === tokens[step]) same += 1;
      else if (row[likeliest[0]!]! - row[argmax(other)]! > 2 * here) report.unexplainedTokens += 1;
    }
    report.sameTokens += same;
    if (same === mine.length) report.samePrompts += 1;
  }
  const rms = (sum: number): number => Math.sqrt(sum / squares.count);
  report.rmsBetween = rms(squares.between);
  if (unrounded) {
    report.rmsOursFromUnrounded = rms(squares.ours);
    report.rmsTheirsFromUnrounded = rms(squares.theirs);
  }
  await peer.close();
  own.close();
  unrounded?.close();
  if (unroundedPath !== null) rmSync(unroundedPath);
  return report;
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      ours: { type: 'string' },
      tokenizer: { type: 'string' },
      text: { type: 'string' },
      prompts: { type: 'string', default: '64' },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.model === undefined) throw new Error('Name a GGUF file: --model <gguf>');
  const file = await openGguf(values.model);
  const vocabulary = file.tensors.get('token_embd.weight')?.shape[0] ?? 256;
  await file.close();
  const prompts = await promptsFrom(Number(values.prompts), vocabulary, values.tokenizer, values.text);
  const report = await agreementWithLlama(values.model, values.ours ?? values.model, prompts);
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${JSON.stringify(report, null, 2)}\n`);
  process.exit(0);
}
