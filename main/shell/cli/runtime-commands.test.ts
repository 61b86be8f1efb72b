/** generate, classify and benchmark on a student that the real pipeline trained (for a moment) and exported. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recipeSchema } from '../../contract/recipe.ts';
import { openDataset } from '../../formats/datasets/index.ts';
import type { DifferencesAnswer } from '../../contract/result-queries.ts';
import type { NewRowsReview } from '../../contract/new-rows.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import type { LabelScore } from '../../contract/helper-protocol.ts';

const script = fileURLToPath(new URL('./main.ts', import.meta.url));
const demo = fileURLToPath(new URL('../../../resources/demo', import.meta.url));
const ready = existsSync(join(demo, 'teacher', 'model.safetensors')) && existsSync(join(demo, 'task', 'train.tsv'));
const tokenizer = join(demo, 'teacher');
const rowCount = 40;
const trainingRows = 400;
let folder: string;
let student: string;
let dev: string;
let train: string;

function cli(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args, '--workspace', folder], {
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}
function json<T>(found: { code: number | null; out: string; err: string }): T {
  expect(found.out.trimEnd().split('\n'), found.err).toHaveLength(1);
  return JSON.parse(found.out) as T;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-runtime-commands-'));
  if (!ready) return;
  dev = join(folder, 'dev.tsv');
  train = join(folder, 'train.tsv');
  const rowsOf = (name: string): string[] => readFileSync(join(demo, 'task', name), 'utf8').split('\n');
  const rows = rowsOf('dev.tsv');
  writeFileSync(dev, `${rows.slice(0, rowCount + 1).join('\n')}\n`);
  writeFileSync(
    train,
    `${rowsOf('train.tsv')
      .slice(0, trainingRows + 1)
      .join('\n')}\n`,
  );
  const header = rows[0]!.split('\t');
  const recipe = recipeSchema.parse({
    name: 'tiny',
    teacher: tokenizer,
    task: {
      name: 'demo',
      kind: 'classification',
      train,
      dev,
      textColumns: header.slice(0, -1),
      labelColumn: header.at(-1)!,
      limit: 100,
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { steps: 8, optimiser: { learningRate: 1e-3, batchSize: 8 } },
    baseline: false,
    exports: [{ type: 'i2_s', embedding: 'f32' }],
  });
  writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
  const run = cli('run', join(folder, 'recipe.json'));
  expect(run.code, run.err).toBe(0);
  const { exports } = json<{ comparison: { exports: { model: string; path: string }[] } }>(
    cli('show', 'latest', '--json'),
  ).comparison;
  student = join(folder, 'experiments', 'tiny-1', exports.find(({ model }) => model === 'bitdistill')!.path);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!ready)('run', () => {
  it('refuses an export that the shape makes impossible before anything is trained, and does not print such a recipe', () => {
    const recipe = JSON.parse(readFileSync(join(folder, 'recipe.json'), 'utf8')) as object;
    const path = join(folder, 'impossible.json');
    // Q6_K takes 256 values at a time, and the embedding of a teacher's file is never padded.
    const exports = [{ type: 'i2_s' }, { type: 'q8_0', embedding: 'q6_k' }];
    writeFileSync(path, JSON.stringify({ ...recipe, name: 'impossible', exports }));
    for (const flags of [[], ['--print-recipe']]) {
      const { code, out, err } = cli('run', path, ...flags);
      expect(code).not.toBe(0);
      expect(out).toBe('');
      expect(err).toContain('Q6_K needs rows of a multiple of 256 values');
    }
    expect(readdirSync(join(folder, 'experiments'))).toEqual(['tiny-1']);
    const possible = { ...recipe, exports: [{ type: 'i2_s', embedding: 'q6_k' }] };
    writeFileSync(path, JSON.stringify(possible));
    expect(cli('run', path, '--print-recipe').code).toBe(0);
  });
});

describe.skipIf(!ready)('show and report', () => {
  it('fold the curves of single layers', () => {
    expect(cli('show', 'tiny').out).toMatch(
      /Curves: .*distil\/ternary\/<0 to \d+>\/negative\|zero\|positive\|flip-rate/,
    );
  });

  it('tell on which rows teacher and student differ, and which class is taken for which', () => {
    const { differences: found, comparison } = json<{
      differences: DifferencesAnswer;
      comparison: { rows: { name: string; accuracy: number }[] };
    }>(cli('show', 'tiny', '--rows', '3', '--json'));
    const right = (name: string): number =>
      Math.round(comparison.rows.find((row) => row.name === name)!.accuracy * rowCount);
    expect(found.rows).toBe(rowCount);
    expect(found.firstBetter - found.secondBetter).toBe(right('teacher') - right('bitdistill'));
    expect(found.examples).toHaveLength(Math.min(3, found.differing));
    const { counts } = found.confusion.find(({ model }) => model === 'bitdistill')!;
    expect(counts.flat().reduce((sum, rows) => sum + rows, 0)).toBe(rowCount);
    expect(counts.reduce((sum, row, label) => sum + row[label]!, 0)).toBe(right('bitdistill'));
    const sentence = `Teacher and student answer ${String(found.differing)} of ${String(rowCount)} held-out rows differently`;
    const shown = cli('show', 'tiny').out;
    expect(shown).toContain(sentence);
    expect(shown).toMatch(/macro F1 [\d.]+ %\.\n +account +billing +cancel/);
    const report = join(folder, 'card.html');
    cli('report', 'tiny', '--output', report);
    const card = readFileSync(report, 'utf8');
    expect(card).toContain(sentence);
    expect(card).toContain(
      `<tr>\n<td><code>${found.labels[0]!}</code></td>\n${counts[0]!.map((rows) => `<td>${String(rows)}</td>\n`).join('')}</tr>`,
    );
    expect(cli('report', 'tiny', '--rows', '0').out).not.toContain('differ');
  });

  it('say so when the rows are not those of the evaluation any more', () => {
    const rows = readFileSync(dev, 'utf8');
    writeFileSync(dev, `${rows.split('\n').slice(0, 11).join('\n')}\n`);
    try {
      expect(cli('show', 'tiny').out).toContain(
        'The rows on which they differ cannot be read: The answers that were kept belong to other rows.',
      );
    } finally {
      writeFileSync(dev, rows);
    }
  });
});

describe.skipIf(!ready)('classify', () => {
  interface Answer {
    rows: { row: number; label: string; expected: string; scores: LabelScore[] }[];
    accuracy: number;
  }

  it('gives the labels, the accuracy and the likelihood of the evaluation', () => {
    const found = json<Answer>(cli('classify', 'tiny', '--file', dev, '--json'));
    const evaluation = JSON.parse(
      readFileSync(join(folder, 'experiments', 'tiny-1', 'evaluations', 'bitdistill.json'), 'utf8'),
    ) as ModelEvaluation;
    expect(found.rows).toHaveLength(rowCount);
    const classes = found.rows[0]!.scores.map(({ label }) => label);
    expect(found.rows.map(({ label }) => classes.indexOf(label))).toEqual(evaluation.predictions);
    expect(found.accuracy).toBe(evaluation.value);
    const likelihood = found.rows.map(
      ({ expected, scores }) => scores.find(({ label }) => label === expected)!.logProbability,
    );
    const crossEntropy = -likelihood.reduce((sum, value) => sum + value, 0) / rowCount;
    expect(Math.abs(crossEntropy - evaluation.crossEntropy)).toBeLessThan(1e-3);
    // What is told as a probability has the temperature that the evaluation found.
    const { temperature } = evaluation.calibration!;
    expect(Math.abs(Math.log(temperature))).toBeGreaterThan(0.01);
    for (const { scores } of found.rows) {
      const expected = scores.map(({ logProbability }) => Math.exp(logProbability / temperature));
      const sum = expected.reduce((total, each) => total + each, 0);
      scores.forEach(({ probability }, at) => {
        expect(probability).toBeCloseTo(expected[at]! / sum, 9);
      });
    }
  });

  it('of one text shows a table, of a file TSV with a header; the text of a row scores as the row', () => {
    const values = readFileSync(dev, 'utf8').split('\n')[1]!.split('\t').slice(0, -1);
    const one = json<Answer>(cli('classify', 'latest', ...values.flatMap((text) => ['--text', text]), '--json'));
    const file = cli('classify', 'latest', '--file', dev, '--threads', '1');
    const lines = file.out.trimEnd().split('\n');
    expect(lines).toHaveLength(rowCount + 1);
    expect(lines[0]).toMatch(/^row\tlabel\texpected\tp\(/);
    const probability = one.rows[0]!.scores[0]!.probability.toFixed(4);
    expect(Number(lines[1]!.split('\t')[3]).toFixed(4)).toBe(probability);
    expect(file.err).toMatch(new RegExp(`of ${String(rowCount)} rows as labelled: \\d`));
    const table = cli('classify', 'latest', ...values.flatMap((text) => ['--text', text])).out;
    expect(table).toMatch(/^label +probability +log-probability\n/);
  });

  it('writes the rows of a file with label, scores and doubts, as a table of each kind', async () => {
    const rows = join(folder, 'rows.csv');
    writeFileSync(rows, 'id,text,score\n1,"Where is it, please?",old\n2,,\n3,"She said ""no"" to it",\n');
    const { rows: known } = json<Answer>(cli('classify', 'latest', '--file', rows, '--json'));
    expect(known.map(({ row }) => row)).toEqual([1, 3]);
    const labels = known[0]!.scores.map(({ label }) => label);
    for (const kind of ['csv', 'tsv', 'jsonl']) {
      const out = join(folder, `out.${kind}`);
      const { code, err } = cli('classify', 'latest', '--file', rows, '--out', out, '--unsure', '1');
      expect([code, err]).toEqual([0, expect.stringContaining('2 rows labelled, 2 of them unsure')]);
      const dataset = await openDataset(out);
      const read: Readonly<Record<string, string>>[] = [];
      for await (const { values } of dataset.rows()) read.push(values);
      const own = ['predicted', 'score 2', 'unsure', ...labels.map((label) => `p(${label})`)];
      expect(dataset.columns).toEqual(['id', 'text', 'score', ...own]);
      expect(read.map(({ id, text, score }) => [id, text, score])).toEqual([
        ['1', 'Where is it, please?', 'old'],
        ['2', '', ''],
        ['3', 'She said "no" to it', ''],
      ]);
      expect(read.map(({ predicted }) => predicted)).toEqual([known[0]!.label, '', known[1]!.label]);
      expect(read.map(({ unsure }) => unsure)).toEqual(['true', '', 'true']);
      for (const { label, probability } of known[1]!.scores)
        expect(Number(read[2]![`p(${label})`])).toBeCloseTo(probability, 9);
    }
    const excel = join(folder, 'out.xlsx');
    expect(cli('classify', 'latest', '--file', rows, '--out', excel).code).toBe(0);
    expect(readFileSync(excel).subarray(0, 4).toString('latin1')).toBe('PK\u0003\u0004');
    const refused = cli('classify', 'latest', '--file', rows, '--out', join(folder, 'out.pdf'));
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('.csv, .tsv, .jsonl, .xlsx')]);
    expect(cli('classify', 'latest', '--text', 'a', '--out', excel).code).toBe(2);
    expect(existsSync(join(folder, 'out.pdf'))).toBe(false);
  });

  it('reads a file as the flags say', () => {
    const [column] = readFileSync(dev, 'utf8').split('\t', 1);
    const path = join(folder, 'two.json');
    const rows = ['a film', 'another', 'a third'].map((text) => ({ [column!]: text }));
    writeFileSync(path, JSON.stringify({ all: rows, last: rows.slice(2) }));
    const count = (...flags: string[]) =>
      json<{ rows: unknown[] }>(cli('classify', 'latest', '--file', path, ...flags, '--json')).rows.length;
    expect([count(), count('--sheet', 'last')]).toEqual([3, 1]);
    expect(json<NewRowsReview>(cli('review', 'latest', '--file', path, '--sheet', 'last', '--json')).rows).toBe(1);
  });

  it('refuses neither and both of text and file, and a file without the columns', () => {
    expect(cli('classify', 'latest').code).toBe(2);
    writeFileSync(join(folder, 'wrong.tsv'), 'other\tlabel\na\tb\n');
    const { code, err } = cli('classify', 'latest', '--file', join(folder, 'wrong.tsv'));
    expect(code).toBe(2);
    expect(err).toMatch(/has no column .*\nWhy: Its columns are "other", "label"/);
  });
});

describe.skipIf(!ready)('generate', () => {
  const prompt = ['--tokenizer', tokenizer, '--prompt', 'The film was'];
  interface Written {
    text: string;
    reason: string;
    answerTokens: number;
  }

  it('streams the text that --json holds; the same seed writes the same, another seed another', () => {
    const sampling = ['--temperature', '1.5', '--top-k', '200', '--top-p', '0.99', '--max-tokens', '40'];
    const plain = cli('generate', student, ...prompt, ...sampling, '--seed', '3');
    expect([plain.code, plain.err]).toEqual([0, expect.stringMatching(/^prompt \d+ tokens at .*answer \d+ tokens/)]);
    const same = json<Written>(cli('generate', 'tiny', ...prompt, ...sampling, '--seed', '3', '--json'));
    expect(`${same.text}\n`).toBe(plain.out);
    const other = json<Written>(cli('generate', student, ...prompt, ...sampling, '--seed', '4', '--json'));
    expect(other.text).not.toBe(same.text);
  });

  it('needs nothing but the file, which holds its tokenizer', () => {
    const greedy = ['--max-tokens', '20', '--json'];
    const alone = json<Written>(cli('generate', student, '--prompt', 'The film was', ...greedy));
    expect(alone).toMatchObject({ text: json<Written>(cli('generate', student, ...prompt, ...greedy)).text });
    expect(alone.text).not.toBe('');
  });

  it('ends before a stop text', () => {
    const sampling = ['--temperature', '1.5', '--max-tokens', '40', '--seed', '3', '--json'];
    const whole = json<Written>(cli('generate', student, ...prompt, ...sampling));
    const stop = whole.text.slice(9, 12);
    const cut = json<Written>(cli('generate', student, ...prompt, ...sampling, '--stop', stop));
    expect(cut).toMatchObject({ text: whole.text.slice(0, whole.text.indexOf(stop)), reason: 'stop' });
    expect(cut.answerTokens).toBeLessThan(whole.answerTokens);
  });

  it('is cancelled between tokens by Ctrl-C: the text so far stays, the exit code says so', async () => {
    const args = ['--temperature', '50', '--max-tokens', '100000', '--repetition-penalty', '1.1', '--threads', '1'];
    for (let attempt = 1; ; attempt += 1) {
      const child = spawn(
        process.execPath,
        [script, 'generate', student, ...prompt, ...args, '--seed', String(attempt), '--workspace', folder],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let [out, err] = ['', ''];
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
      child.stdout.on('data', (chunk: Buffer) => {
        if (out === '') child.kill('SIGINT');
        out += chunk.toString();
      });
      const code = await new Promise((resolve) => child.once('close', resolve));
      // The tiny student may reach its end token or its context of 256 tokens before the signal arrives; then nobody waits for one any more.
      if (/answer \d+ tokens/.test(err) && !err.includes('cancelled') && attempt < 50) continue;
      expect([code, err]).toEqual([5, expect.stringMatching(/answer \d+ tokens.*; cancelled\n$/)]);
      expect(out.trim()).not.toBe('');
      return;
    }
  });

  it('says what is wrong with a file, a folder without a tokenizer and an option', () => {
    const missing = cli('generate', join(folder, 'none.gguf'), ...prompt, '--json');
    expect(missing.code).toBe(2);
    expect(json(missing)).toMatchObject({ error: { code: 'not-found' } });
    const noModel = cli('generate', dev, ...prompt);
    expect([noModel.code, noModel.err]).toEqual([2, expect.stringContaining('not a GGUF file')]);
    const noFolder = cli('generate', student, '--tokenizer', folder, '--prompt', 'a');
    expect([noFolder.code, noFolder.err]).toEqual([2, expect.stringContaining('has no tokenizer')]);
    expect(cli('generate', student, ...prompt, '--temperature', '-1').code).toBe(2);
    const long = cli('generate', student, '--tokenizer', tokenizer, '--prompt', 'a '.repeat(400));
    expect([long.code, long.err]).toEqual([2, expect.stringContaining('context')]);
  });
});

describe.skipIf(!ready)('benchmark', () => {
  it('has a run for each thread count and prompt that the context holds', () => {
    const args = ['--threads', '1,2', '--prompts', '16,64,4096', '--decode', '8', '--rounds', '1'];
    const found = json<{ runs: Record<string, number>[]; fileBytes: number }>(
      cli('benchmark', student, ...args, '--json'),
    );
    expect(found.runs.map(({ threads, promptTokens }) => [threads, promptTokens])).toEqual([
      [1, 16],
      [1, 64],
      [2, 16],
      [2, 64],
    ]);
    expect(found.fileBytes).toBe(readFileSync(student).length);
    for (const run of found.runs)
      for (const name of ['prefillTokensPerSecond', 'decodeTokensPerSecond', 'loadSeconds', 'rssBytes'])
        expect(run[name], name).toBeGreaterThan(0);
  });

  it('of an experiment shows a table', () => {
    const { code, out } = cli(
      'benchmark',
      'tiny',
      '--threads',
      '1',
      '--prompts',
      '16',
      '--decode',
      '8',
      '--rounds',
      '1',
    );
    expect(code).toBe(0);
    expect(out).toMatch(/threads +prompt +prefill +decode +load +memory\n.*\n +1 +16 tokens +\S+ tok\/s/);
  });
});

describe.skipIf(!ready)('review', () => {
  const reviewed = (file: string, ...more: string[]) =>
    json<NewRowsReview>(cli('review', 'latest', '--file', file, ...more, '--json'));
  const [header, ...rows] = ready
    ? readFileSync(join(demo, 'task', 'dev.tsv'), 'utf8')
        .trimEnd()
        .split('\n')
    : [''];
  const written = (name: string, lines: readonly string[], first = header!): string => {
    writeFileSync(join(folder, name), `${[first, ...lines].join('\n')}\n`);
    return join(folder, name);
  };

  it('of the rows that were held out finds them as good as then', () => {
    const found = reviewed(dev);
    expect(found.rows).toBe(rowCount);
    expect(found.now!.rows).toBe(rowCount);
    // Logits of the exported file and of the training engine differ in their last digits.
    expect(Math.abs(found.now!.right - found.then!.right)).toBeLessThanOrEqual(1);
    expect(found.findings.map(({ id }) => id)).toEqual([
      'review.accuracy',
      'review.same',
      'review.same-classes',
      'review.unsure',
    ]);
    expect(found.mistakes.length).toBe(Math.min(10, found.now!.rows - found.now!.right));
  });

  it('names labels that the student does not know, and rows that it takes for other classes', () => {
    const answers = json<{ rows: { row: number; label: string }[] }>(
      cli('classify', 'latest', '--file', dev, '--json'),
    );
    const [first] = answers.rows;
    const alike = answers.rows.filter(({ label }) => label === first!.label).map(({ row }) => rows[row - 1]!);
    const strange = rows.slice(0, 4).map((line) => line.replace(/\t[^\t]*$/, '\tsarcasm'));
    const lines = [...Array.from({ length: 120 }, (_, at) => alike[at % alike.length]!), ...strange];
    const found = reviewed(written('skewed.tsv', lines), '--rows', '0');
    expect(found.unknown).toEqual([{ label: 'sarcasm', rows: 4 }]);
    expect(found.now!.rows).toBe(120);
    expect(found.classes.find(({ label }) => label === first!.label)!.answeredNow).toBeGreaterThanOrEqual(120);
    expect(found.findings.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['review.unknown-labels', 'review.other-classes']),
    );
    expect(found.mistakes).toEqual([]);
  });

  it('goes without labels, and says what that leaves open', () => {
    const texts = rows.slice(0, 12).map((line) => line.replace(/\t[^\t]*$/, ''));
    const found = cli('review', 'latest', '--file', written('unlabelled.tsv', texts, header!.replace(/\t[^\t]*$/, '')));
    expect(found.code, found.err).toBe(0);
    expect(found.out).toContain('None of the 12 rows has a label that the student knows.');
    expect(found.out).toContain('run --like tiny-1 --add');
    const other = cli('review', 'latest', '--file', written('other.tsv', ['1\t2'], 'a\tb'));
    expect([other.code, other.out]).toEqual([2, '']);
  });

  it('leads to a training on these rows too: the same recipe, with labels that came with them', () => {
    const added = written('later.tsv', [
      ...rows.slice(rowCount, rowCount + 20),
      ...rows.slice(rowCount + 20, rowCount + 50).map((line) => line.replace(/\t[^\t]*$/, '\tsarcasm')),
      '\tpositive',
    ]);
    const again = ['run', '--like', 'latest', '--add', added];
    const printed = cli(...again, '--print-recipe');
    const recipe = recipeSchema.parse(JSON.parse(printed.out));
    expect(printed.err).toContain('50 new ones');
    expect(readFileSync(recipe.task.train, 'utf8').trimEnd().split('\n')).toHaveLength(trainingRows + 50);
    const { task: before, ...rest } = recipeSchema.parse(JSON.parse(readFileSync(join(folder, 'recipe.json'), 'utf8')));
    expect(recipe).toEqual({ ...rest, task: { ...before, train: recipe.task.train } });
    // All rows this time, so that the new class is among them.
    const run = cli(...again, '--limit', String(trainingRows), '--name', 'again', '--json');
    expect(run.code, run.err).toBe(0);
    const scores = json<{ rows: { scores: LabelScore[] }[] }>(
      cli(
        'classify',
        'again',
        ...header!
          .split('\t')
          .slice(0, -1)
          .flatMap(() => ['--text', 'a film']),
        '--json',
      ),
    ).rows[0]!.scores;
    expect(scores.map(({ label }) => label)).toContain('sarcasm');
    const kept = readdirSync(join(folder, 'data'));
    const refused = cli('run', '--like', 'tiny-1', '--add', join(folder, 'other.tsv'));
    expect([refused.code, readdirSync(join(folder, 'data'))]).toEqual([2, kept]);
    expect(cli('run', '--like', 'tiny-1').err).toContain('--like and --add go together');
  });
});

/** A model server in a process of its own, when it has said where it is. */
async function served(...args: string[]) {
  const child = spawn(process.execPath, [script, 'serve-model', ...args, '--json', '--workspace', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').once('data', resolve);
  });
  const { address, token } = JSON.parse(line) as { address: string; token: string };
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return { child, ended, address, headers };
}

describe.skipIf(!ready)('deploy', () => {
  it('makes a folder from which the labels are scored as from the experiment, and writes over nothing', async () => {
    const into = join(folder, 'handed over');
    const made = json<{ folder: string; files: string[] }>(cli('deploy', 'tiny-1', '--output', into, '--json'));
    expect(made.folder).toBe(into);
    expect(made.files).toEqual(readdirSync(into).toSorted());
    expect(made.files).toEqual(expect.arrayContaining(['README.md', 'model-card.md', 'task.json', 'tokenizer.json']));
    expect(readFileSync(join(into, 'model-card.md'), 'utf8')).toContain('# tiny');
    // It leaves the house: nothing of where things lie here.
    for (const name of made.files)
      if (!/^tokenizer\.json$|\.gguf$/.test(name))
        for (const place of [folder, demo]) expect(readFileSync(join(into, name), 'utf8'), name).not.toContain(place);
    const again = cli('deploy', 'tiny-1', '--output', into);
    expect([again.code, again.err]).toEqual([2, expect.stringContaining('There is something in')]);
    expect(cli('deploy', 'tiny-1', '--output', join(folder, 'no', 'such')).code).toBe(2);

    const values = Object.fromEntries(
      (await openDataset(dev)).columns.slice(0, -1).map((name) => [name, 'a good film']),
    );
    const texts = Object.values(values).flatMap((text) => ['--text', text]);
    const expected = json<{ rows: { scores: LabelScore[] }[] }>(cli('classify', 'tiny-1', ...texts, '--json')).rows[0]!;
    const { child, ended, address, headers } = await served(into);
    const body = JSON.stringify({ input: values });
    const found = (await (await fetch(`${address}/v1/classify`, { method: 'POST', headers, body })).json()) as {
      data: { scores: { label: string; score: number }[] }[];
    };
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    const byName = (scores: { label: string; score: number }[]): object =>
      Object.fromEntries(scores.map(({ label, score }) => [label, score]));
    expect(byName(found.data[0]!.scores)).toEqual(
      byName(expected.scores.map(({ label, probability }) => ({ label, score: probability }))),
    );
    writeFileSync(join(into, 'task.json'), '{"format":"tritsmith-task"}');
    const damaged = cli('serve-model', into);
    expect([damaged.code, damaged.err]).toEqual([1, expect.stringContaining('task.json cannot be used')]);
  });
});

describe.skipIf(!ready)('serve-model', () => {
  it('prints address and token once, answers, and ends within seconds of SIGTERM while it computes', async () => {
    const { child, ended, address, headers } = await served(student, '--tokenizer', tokenizer, '--context', '200000');
    expect((await fetch(`${address}/v1/models`)).status).toBe(401);
    const body = JSON.stringify({ prompt: 'The film', max_tokens: 150_000, temperature: 0, stream: true });
    const running = await fetch(`${address}/v1/completions`, { method: 'POST', headers, body });
    const text = running.text();
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(await text).toMatch(/shutting_down|\[DONE\]/);
    await expect(fetch(`${address}/health`)).rejects.toThrow();
  });
});
