/**
 * How hard the task is without word order: multinomial logistic regression on a bag of words (and of words and pairs), trained on
 * train.tsv, measured on dev.tsv.
 *
 *     node resources/demo-source/difficulty.ts [<folder, default resources/demo>]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { queues } from './issues.ts';
import { Random } from './random.ts';

interface Row {
  readonly text: string;
  readonly label: number;
}

function read(path: string): Row[] {
  const rows: Row[] = [];
  for (const line of readFileSync(path, 'utf8').trimEnd().split('\n').slice(1)) {
    const [text, queue] = line.split('\t') as [string, (typeof queues)[number]];
    rows.push({ text, label: queues.indexOf(queue) });
  }
  return rows;
}

/** Accuracy on `dev` of logistic regression on the set of n-grams up to `order`; AdaGrad, the best of `epochs` on dev (favours it). */
function bagOfWords(train: readonly Row[], dev: readonly Row[], order: number, epochs: number): number {
  const features = new Map<string, number>();
  const extract = (text: string, grow: boolean): number[] => {
    const words = text.toLowerCase().match(/[a-z0-9']+/g) ?? [];
    const found = new Set<number>();
    for (let length = 1; length <= order; length++)
      for (let at = 0; at + length <= words.length; at++) {
        const gram = words.slice(at, at + length).join(' ');
        if (grow && !features.has(gram)) features.set(gram, features.size);
        const feature = features.get(gram);
        if (feature !== undefined) found.add(feature);
      }
    return [...found];
  };
  const trainRows = train.map((row) => ({ found: extract(row.text, true), label: row.label }));
  const devRows = dev.map((row) => ({ found: extract(row.text, false), label: row.label }));
  const classes = queues.length;
  const weights = new Float64Array(features.size * classes);
  const squares = new Float64Array(features.size * classes).fill(1e-8);
  const scores = (found: readonly number[]): Float64Array => {
    const logits = new Float64Array(classes);
    for (const feature of found) for (let c = 0; c < classes; c++) logits[c]! += weights[feature * classes + c]!;
    return logits;
  };
  const random = new Random(1);
  let best = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const { found, label } of random.shuffle(trainRows)) {
      const logits = scores(found);
      const top = Math.max(...logits);
      const exponentials = logits.map((logit) => Math.exp(logit - top));
      const sum = exponentials.reduce((total, value) => total + value, 0);
      for (let c = 0; c < classes; c++) {
        const slope = exponentials[c]! / sum - (c === label ? 1 : 0);
        for (const feature of found) {
          const place = feature * classes + c;
          const gradient = slope + 1e-4 * weights[place]!;
          squares[place]! += gradient * gradient;
          weights[place]! -= (0.1 * gradient) / Math.sqrt(squares[place]!);
        }
      }
    }
    const right = devRows.filter(({ found, label }) => {
      const logits = scores(found);
      return logits.indexOf(Math.max(...logits)) === label;
    }).length;
    best = Math.max(best, right / devRows.length);
  }
  return best;
}

const folder = process.argv[2] ?? join(import.meta.dirname, '..', 'demo');
const train = read(join(folder, 'task', 'train.tsv'));
const dev = read(join(folder, 'task', 'dev.tsv'));
for (const order of [1, 2, 3])
  process.stdout.write(`bag of n-grams, n <= ${order}: dev accuracy ${bagOfWords(train, dev, order, 6).toFixed(4)}\n`);
