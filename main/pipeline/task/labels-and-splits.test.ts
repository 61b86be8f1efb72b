/** Labels as people write them, rows that are held out, and answers that begin other answers: the check says it, and training does it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../basics/random.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { tellError } from '../../contract/messages/told.ts';
import { newestRules, taskSettings } from '../../contract/recipe.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { checkTask } from './check-task.ts';
import { heldOutRows, timeOf } from './held-out.ts';
import { labelValues } from './label-values.ts';
import { chooseLabelWords } from './label-words.ts';
import { KnownTexts, TextPrints } from './text-prints.ts';
import { type PlacedExample, prepareTask, type PreparedTask, readLabels } from './task-data.ts';

const teacher = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
let folder: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-labels-'));
  tokenizer = await loadTokenizer(teacher);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let files = 0;
function file(rows: readonly (readonly string[])[], columns = ['text', 'label']): string {
  files += 1;
  const path = join(folder, `rows-${String(files)}.tsv`);
  writeFileSync(path, `${[columns, ...rows].map((row) => row.join('\t')).join('\n')}\n`);
  return path;
}

const settingsOf = (train: string, changes: object = {}) =>
  taskSettings.parse({
    name: 'rows',
    kind: 'classification',
    train,
    textColumns: ['text'],
    labelColumn: 'label',
    maxLength: 48,
    rules: newestRules,
    ...changes,
  });

const words = 'parcel invoice password refund address delivery account broken late money'.split(' ');
/** Texts that share few pieces with one another. */
const textOf = (row: number): string =>
  `${String(row)} ${words[row % 10]!} ${words[(row * 7 + 3) % 10]!} number ${String(row * 7919)}`;

/** Rows of classes, so many of each. */
function rowsOf(classes: Readonly<Record<string, number>>): string[][] {
  let row = 0;
  return Object.entries(classes).flatMap(([label, count]) =>
    Array.from({ length: count }, () => [textOf(row++), label]),
  );
}

const idOf = (ids: ArrayLike<number>): number =>
  Number(
    tokenizer
      .decode([...Array.from(ids)])
      .trim()
      .split(' ')[0],
  );

async function splitOf(task: PreparedTask): Promise<{ held: number[]; trained: number[] }> {
  const trained: number[] = [];
  for await (const { ids } of task.train()) trained.push(idOf(ids));
  return { held: task.dev.map(({ prompt }) => idOf(prompt)), trained };
}

/** Asks the check and the training; what stops the one stops the other, with the same words. */
async function both(settings: ReturnType<typeof settingsOf>, seed = 1) {
  const report = await checkTask({ settings, teacher, seed });
  const trained = await prepareTask(settings, tokenizer, seed).catch((thrown: unknown) =>
    tellError(TritsmithError.from(thrown)),
  );
  if ('text' in trained) {
    expect(report.blockers.map(({ text }) => text)).toContain(trained.text);
    return { report, task: null, refusal: trained.text };
  }
  expect(report.blockers).toEqual([]);
  return { report, task: trained, refusal: null };
}

const said = (report: { warnings: { text: string }[] }): string => report.warnings.map(({ text }) => text).join('\n');

describe('label values', () => {
  it('that differ in case, blanks or invisible characters are shown side by side, and merged where it is asked', async () => {
    const rows = rowsOf({ spam: 30, Spam: 20, 'spam\u200B': 10, 'ham  mail': 20, 'ham mail': 25 });
    const apart = await both(settingsOf(file(rows)));
    // A zero-width space is never a class of its own, and that is said.
    expect(apart.task!.labels!.classes).toEqual(['Spam', 'ham  mail', 'ham mail', 'spam']);
    expect(said(apart.report)).toMatch(/10 rows have zero-width characters/);
    expect(said(apart.report)).toMatch(/"spam" \(40 rows\) = "Spam" \(20 rows\)/);
    expect(apart.report.nearEqual.map((alike) => alike.map(({ label }) => label))).toEqual([
      ['spam', 'Spam'],
      ['ham mail', 'ham  mail'],
    ]);
    const dev = file([
      ['a new one', 'SPAM'],
      ['another one', 'ham mail'],
    ]);
    const merged = await both(settingsOf(file(rows), { mergeLabels: true, dev }));
    expect(merged.task!.labels!.classes).toEqual(['ham mail', 'spam']);
    expect(merged.task!.dev.map(({ reference }) => reference)).toEqual(['spam', 'ham mail']);
    expect(merged.report.train.labels).toEqual([
      { label: 'spam', rows: 60 },
      { label: 'ham mail', rows: 45 },
    ]);
    expect(merged.task!.notes.join()).toMatch(/were written in several ways are one class each/);
  });

  it('with composed and with decomposed accents are one', async () => {
    const { task } = await both(settingsOf(file(rowsOf({ 'caf\u00E9': 20, 'cafe\u0301': 20, tea: 20 }))));
    expect(task!.labels!.classes).toEqual(['caf\u00E9', 'tea']);
  });

  it('that are numbers or truth values meet: 1 and 1.0, TRUE and true', () => {
    const alike = (counts: Record<string, number>) =>
      labelValues(new Map(Object.entries(counts)), { rules: 2 }).nearEqual.map((each) =>
        each.map(({ label }) => label),
      );
    expect(alike({ '1': 5, '1.0': 3, '0': 4, '0.0': 9 })).toEqual([
      ['0.0', '0'],
      ['1', '1.0'],
    ]);
    expect(alike({ TRUE: 2, true: 3, False: 1 })).toEqual([['true', 'TRUE']]);
    expect(alike({ '12': 1, '1.2': 1, v1: 1, 'v1.0': 1 })).toEqual([]);
  });

  it('stay what they are for recipes of version 0.1', async () => {
    const rows = rowsOf({ spam: 30, 'spam\u200B': 30, '-1': 10, '0': 30, '1': 30 });
    const task = await prepareTask(settingsOf(file(rows), { rules: undefined }), tokenizer, 1);
    expect(task.labels!.classes).toEqual(['-1', '0', '1', 'spam', 'spam\u200B']);
  });

  it('-1 beside 0 and 1 is left out, with a count, unless it is said to be a class', async () => {
    const train = file(rowsOf({ '0': 30, '1': 30, '-1': 7 }));
    const dev = file([
      ['new', '0'],
      ['newer', '-1'],
    ]);
    const { report, task } = await both(settingsOf(train, { dev }));
    expect(task!.labels!.classes).toEqual(['0', '1']);
    expect([task!.trainRows, task!.dev.length]).toEqual([60, 1]);
    expect(said(report)).toMatch(/left out: "-1" \(7 rows\)/);
    expect(report.leftOut).toEqual([{ label: '-1', rows: 7 }]);
    expect(report.train.problems).toMatchObject([{ kind: 'unlabelled', effect: 'dropped', rows: 7 }]);
    expect([report.train.usableRows, report.dev!.usableRows]).toEqual([60, 1]);
    const kept = await both(settingsOf(train, { unlabelled: [] }));
    expect(kept.task!.labels!.classes).toEqual(['-1', '0', '1']);
  });

  it('n/a and ? are left out; unknown is a class, and asked about', async () => {
    const train = file(rowsOf({ a: 20, b: 20, 'N/A': 3, '?': 2, unknown: 9 }));
    const { report, task } = await both(settingsOf(train));
    expect(task!.labels!.classes).toEqual(['a', 'b', 'unknown']);
    expect(said(report)).toMatch(/left out: "N\/A" \(3 rows\), "\?" \(2 rows\)/);
    expect(said(report)).toMatch(/"unknown" is trained as a class/);
    const without = await both(settingsOf(train, { unlabelled: ['unknown', 'n/a', '?'] }));
    expect(without.task!.labels!.classes).toEqual(['a', 'b']);
  });

  it('several in a cell are refused, and a name with a comma is not', async () => {
    const { refusal } = await both(settingsOf(file(rowsOf({ red: 20, blue: 20, 'red|blue': 5, 'blue|green': 5 }))));
    expect(refusal).toMatch(/^10 rows have several labels in one cell, such as "red\|blue", "blue\|green"\./);
    const recombined = rowsOf({ 'red;blue': 9, 'blue;green': 9, 'green;red': 9 });
    expect((await both(settingsOf(file(recombined)))).refusal).toMatch(/27 rows have several labels/);
    const names = rowsOf({ 'food, drink': 20, food: 20, drink: 20, 'a|b': 20 });
    expect((await both(settingsOf(file(names)))).refusal).toBeNull();
  });

  it('that are rare are named, beyond the most frequent too', async () => {
    const rare = Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`rare${String(at)}`, 2]));
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`class${String(at)}`, 9]));
    const { warnings } = await checkTask({ settings: settingsOf(file(rowsOf({ ...many, ...rare }))) });
    expect(warnings.find(({ id }) => id === 'labels.rare')).toMatchObject({
      text: expect.stringMatching(/^5 labels have fewer than 8 training rows.*"rare0".*"rare4"/) as unknown,
    });
  });
});

describe('rows that are held out', () => {
  it('hold every class in proportion; a class of one row stays in training, whatever the seed', async () => {
    const single = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`one${String(at)}`, 1]));
    const settings = settingsOf(file(rowsOf({ a: 60, b: 60, c: 60, ...single })));
    for (const seed of [1, 2, 3, 4, 5]) {
      const { report, task } = await both(settings, seed);
      const held = task!.dev.map(({ reference }) => reference).toSorted();
      expect([task!.trainRows, held.length]).toEqual([180, 20]);
      for (const label of 'abc') expect(held.filter((each) => each === label).length).toBeGreaterThanOrEqual(6);
      expect(said(report)).toMatch(/20 classes are trained and not tested: "one0".*one row of each/s);
      // The check says of the split what the training's log says.
      const ofSplit = report.warnings.filter(({ id }) => id?.startsWith('split.')).map(({ text }) => text);
      expect(ofSplit.length).toBe(2);
      expect(task!.notes).toEqual(expect.arrayContaining(ofSplit));
    }
  });

  it('are other ones for another seed, and every row is held out or trained on', async () => {
    const settings = settingsOf(file(rowsOf({ a: 50, b: 30 })), { devFraction: 0.2 });
    const one = await splitOf(await prepareTask(settings, tokenizer, 1));
    const other = await splitOf(await prepareTask(settings, tokenizer, 2));
    expect(one.held.toSorted()).not.toEqual(other.held.toSorted());
    expect([...one.held, ...one.trained].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 80 }, (_, row) => row),
    );
  });

  it('leave a row of every class where a limit is set', async () => {
    const settings = settingsOf(file(rowsOf({ a: 400, b: 12, c: 12 })), { limit: 5 });
    for (const seed of [1, 2, 3]) {
      const task = await prepareTask(settings, tokenizer, seed);
      expect([task.trainRows, task.labels!.classes]).toEqual([5, ['a', 'b', 'c']]);
    }
  });

  it('are said to leak where a text, or nearly the text, is a training row too', async () => {
    const long = (row: number): string => {
      const random = new Random(row);
      return Array.from({ length: 30 }, () => words[random.below(10)]! + String(random.below(100))).join(' ');
    };
    const rows = Array.from({ length: 100 }, (_, row) => [long(row), row % 2 === 0 ? 'a' : 'b']);
    // Every text three times: as it is, in capitals, and with one word more.
    const repeated = rows.flatMap(([text, label]) => [
      [text!, label!],
      [`  ${text!.toUpperCase()}`, label!],
      [`${text!} please`, label!],
    ]);
    const { report, task } = await both(settingsOf(file(repeated), { maxLength: 16 }));
    const leak = report.warnings.find(({ id }) => id === 'split.leak')!.params as { same: number; near: number };
    expect(leak.same).toBeGreaterThan(10);
    expect(leak.same + leak.near).toBeGreaterThan(25);
    expect(task!.notes.join()).toMatch(/have the text of a training row/);
    expect((await both(settingsOf(file(rows), { maxLength: 16 }))).report.warnings.map(({ id }) => id)).not.toContain(
      'split.leak',
    );
    // Across two files.
    const dev = file([
      [rows[0]![0]!.toUpperCase(), 'a'],
      [`${rows[1]![0]!} please`, 'a'],
      [rows[2]![0]!, 'b'],
      [long(500), 'b'],
    ]);
    const across = await checkTask({ settings: settingsOf(file(rows), { dev }) });
    expect(across.dev!.problems.filter(({ kind }) => kind.includes('shared'))).toMatchObject([
      { kind: 'shared-between-splits', rows: 2, examples: [2, 4] },
      { kind: 'near-shared', rows: 1, examples: [3] },
    ]);
    expect(said(across)).toMatch(/nearly the same as training rows/);
    // The log of a training says the same, from the first job's reading and where only the evaluation file is read anew.
    const settings = settingsOf(file(rows), { dev });
    const experiment = join(folder, 'across');
    const leakOf = async (): Promise<string | undefined> =>
      (await prepareTask(settings, tokenizer, 1, { experiment })).notes.find((note) =>
        note.includes('evaluation file'),
      );
    const sentence =
      /^Of the 4 rows of the evaluation file, 2 have the text of a training row and 1 nearly so \(row 2, 4, 3\)/;
    expect(await leakOf()).toMatch(sentence);
    writeFileSync(dev, readFileSync(dev, 'utf8').replace('please', 'thanks'));
    expect(await leakOf()).toMatch(sentence);
    expect(await leakOf()).toMatch(sentence);
    const { notes } = await prepareTask(settingsOf(file(rows.slice(50)), { dev }), tokenizer, 1);
    expect(notes.join()).not.toContain('evaluation file');
  });

  it('have nearly the same text where most pieces are the same, counted exactly', () => {
    const pieces = (text: string): Set<string> =>
      new Set(Array.from({ length: text.length - 5 }, (_, at) => text.slice(at, at + 6)));
    const found = { alike: 0, alikeFound: 0, other: 0, otherFound: 0 };
    for (let seed = 0; seed < 300; seed += 1) {
      const random = new Random(seed);
      const one = Array.from({ length: 40 }, () => words[random.below(10)]! + String(random.below(100)));
      const other = one.map((word) => (random.below(60) < seed % 20 ? `x${String(random.below(1000))}` : word));
      const prints = new TextPrints();
      for (const text of [one, other]) prints.add({ text: text.join(' ') }, ['text']);
      const [a, b] = [pieces(one.join(' ')), pieces(other.join(' '))];
      const common = [...a].filter((each) => b.has(each)).length;
      const share = common / (a.size + b.size - common);
      const known = new KnownTexts(prints);
      known.add(0);
      const near = known.near(prints, 1) !== null;
      if (share >= 0.92) [found.alike, found.alikeFound] = [found.alike + 1, found.alikeFound + Number(near)];
      if (share <= 0.6) [found.other, found.otherFound] = [found.other + 1, found.otherFound + Number(near)];
    }
    expect(found.alike).toBeGreaterThan(20);
    expect(found.other).toBeGreaterThan(100);
    expect(found.alikeFound).toBe(found.alike);
    expect(found.otherFound).toBe(0);
  });

  it('contradict nothing in silence: equal texts with other labels are said', async () => {
    const rows = [...rowsOf({ a: 20, b: 20 }), [`${textOf(0).toUpperCase()} `, 'b'], [textOf(1), 'a']];
    const report = await checkTask({ settings: settingsOf(file(rows)) });
    expect(report.train.problems).toMatchObject([
      { kind: 'duplicate-conflict', rows: 1, examples: [42] },
      { kind: 'duplicate', rows: 1, examples: [43] },
    ]);
  });

  it('keep groups together', async () => {
    const rows = rowsOf({ a: 60, b: 60 }).map((row, at) => [...row, `customer ${String(at % 17)}`]);
    const settings = settingsOf(file(rows, ['text', 'label', 'customer']), { groupColumn: 'customer' });
    const { report, task } = await both(settings);
    const { held, trained } = await splitOf(task!);
    expect(held.length).toBeGreaterThan(5);
    expect(held.length).toBeLessThanOrEqual(12);
    const groups = new Set(trained.map((row) => row % 17));
    expect(held.filter((row) => groups.has(row % 17))).toEqual([]);
    expect(said(report)).toMatch(/rows with the same "customer" stay together/);
    const one = file(
      rows.map(([text, label]) => [text!, label!, 'same']),
      ['text', 'label', 'customer'],
    );
    expect((await both(settingsOf(one, { groupColumn: 'customer' }))).refusal).toMatch(/No row can be held out/);
  });

  it('are the newest where a column says when, and a class that is only new stays in training', async () => {
    const day = (at: number): string => new Date(Date.UTC(2026, 0, 1 + at)).toISOString().slice(0, 10);
    const rows = rowsOf({ a: 50, b: 49, c: 1 }).map((row, at) => [...row, day((at * 37) % 100)]);
    rows[99]![2] = '2027-01-01';
    const settings = settingsOf(file(rows, ['text', 'label', 'day']), { timeColumn: 'day' });
    const { task } = await both(settings);
    const { held, trained } = await splitOf(task!);
    const times = (ids: number[]): number[] => ids.filter((id) => id !== 99).map((id) => timeOf(rows[id]![2]!));
    expect(held.length).toBe(10);
    expect(Math.min(...times(held))).toBeGreaterThan(Math.max(...times(trained)));
    expect(trained).toContain(99);
    rows[3]![2] = '11/12/2026';
    const unclear = settingsOf(file(rows, ['text', 'label', 'day']), { timeColumn: 'day' });
    expect((await both(unclear)).refusal).toMatch(/1 rows have no time in "day", the first in row 5: "11\/12\/2026"/);
    const two = settingsOf(file(rows, ['text', 'label', 'day']), { timeColumn: 'day', groupColumn: 'text' });
    await expect(prepareTask({ ...two, textColumns: ['day'] }, tokenizer, 1)).rejects.toMatchObject({
      message: /"text" or by "day", not by both/,
    });
  });

  it('need the columns that they are chosen by', async () => {
    const settings = settingsOf(file(rowsOf({ a: 9, b: 9 })), { groupColumn: 'customer' });
    await expect(prepareTask(settings, tokenizer, 1)).rejects.toMatchObject({ message: /no column "customer"/ });
    await expect(checkTask({ settings })).rejects.toMatchObject({ message: /no column "customer"/ });
  });

  it('never take the last row of a class, and are as many as asked for where that is possible (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        (sizes, seed) => {
          const classes = sizes.flatMap((size, label) => Array.from({ length: size }, () => String(label)));
          const wanted = Math.max(1, Math.round(classes.length / 5));
          const room = classes.length - sizes.length;
          if (room === 0) return;
          const held = heldOutRows(classes.length, wanted, { classes, groups: null, times: null }, seed);
          expect(new Set(held).size).toBe(Math.min(wanted, room));
          sizes.forEach((size, label) => {
            const own = [...held].filter((row) => classes[row] === String(label)).length;
            expect(own).toBeLessThan(size);
          });
        },
      ),
    );
  });

  it('know dates of several ways of writing, and none that is unclear', () => {
    expect(timeOf('31.12.2026 14:30')).toBe(timeOf('2026-12-31T14:30Z'));
    expect(timeOf('2026-12-31 14:30:00+0100')).toBe(timeOf('2026-12-31T13:30:00Z'));
    expect(timeOf('1700000000')).toBe(1_700_000_000);
    for (const unclear of ['', '11/12/2026', 'yesterday', '2026-13-01']) expect(timeOf(unclear)).toBeNaN();
  });
});

describe('answers of which one begins another', () => {
  const many = [
    'order',
    'order status',
    ...Array.from({ length: 26 }, (_, at) => `topic ${'abcdefghijklmnopqrstuvwxyz'[at]!}`),
  ];
  const begins = (ids: readonly Int32Array[]): boolean =>
    ids.some((one, a) => ids.some((other, b) => a !== b && one.every((id, at) => other[at] === id)));

  it('are avoided where other words do, and end with the end token where none do', () => {
    const few = chooseLabelWords(tokenizer, ['order', 'order status'], { rules: 2 }, 'x\n');
    expect(begins(few.ids)).toBe(false);
    expect(few.ids.some((ids) => ids.includes(tokenizer.eosId!))).toBe(false);
    const ended = chooseLabelWords(tokenizer, many, { rules: 2 }, 'x\n');
    expect(begins(ended.ids)).toBe(false);
    for (const ids of ended.ids) expect(ids.at(-1)).toBe(tokenizer.eosId);
    const given = { order: ' order', 'order status': ' order status' };
    const own = chooseLabelWords(tokenizer, ['order', 'order status'], { rules: 2, labelWords: given }, 'x\n');
    expect(own.words).toEqual([' order', ' order status']);
    expect(begins(own.ids)).toBe(false);
  });

  it('are what they were where none begins another, and for recipes of version 0.1', () => {
    for (const classes of [
      ['a', 'b'],
      ['payment', 'delivery of goods'],
      Array.from({ length: 30 }, (_, at) => `${String(at + 10)} x`),
    ]) {
      const now = chooseLabelWords(tokenizer, classes, { rules: 2 }, 'x\n');
      expect(now).toEqual(chooseLabelWords(tokenizer, classes, {}, 'x\n'));
    }
    expect(begins(chooseLabelWords(tokenizer, many, {}, 'x\n').ids)).toBe(true);
  });

  it('are refused, with the pair, where the tokenizer has no end token', () => {
    const endless = new Proxy(tokenizer, {
      get: (target, name) => {
        const value: unknown = name === 'eosId' ? null : Reflect.get(target, name, target);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    expect(() => chooseLabelWords(endless, many, { rules: 2 }, 'x\n')).toThrow(
      /" order" begins the answer " order status"/,
    );
  });

  it('are the same for training, evaluation and answers', async () => {
    const labelWords = { order: ' order', 'order status': ' order status' };
    const settings = settingsOf(file(rowsOf({ order: 20, 'order status': 20 })), { labelWords });
    const task = await prepareTask(settings, tokenizer, 1);
    const { labels, classOf } = await readLabels(settings, tokenizer, 1);
    expect(labels).toEqual(task.labels);
    expect(classOf('order ')).toBe('order');
    const trained = new Set<string>();
    for await (const { ids, responseStart } of task.train() as AsyncIterable<PlacedExample>)
      trained.add(ids.slice(responseStart).join());
    expect([...trained].toSorted()).toEqual(labels.ids.map((ids) => ids.join()).toSorted());
  });
});
