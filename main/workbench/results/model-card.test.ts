import { expect, it } from 'vitest';
import { experimentRecord, stageRecord } from '../../contract/experiments.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { cardSentences, cutSentences, htmlCard, keptSentences, markdownCard, sureSentences } from './model-card.ts';

const name = 'A *bold* [link](http://evil.example) ![](http://evil.example/x.png) <b>&amp; http://evil.example';

const record = () =>
  experimentRecord.parse({
    id: 'one',
    name,
    state: 'done',
    seed: 1,
    created: 1,
    started: 1,
    ended: 2,
    recipe: sampleRecipe('card'),
    stages: [],
    artifacts: [],
    machine: { processor: 'A | B', cores: 2, memoryBytes: 4e9, platform: 'linux', architecture: 'x64' },
    versions: {},
    error: null,
  });

function card(prompt: string): string {
  const example = { row: 4, prompt, gold: 'refund', first: 'refund', second: 'repair', firstScore: 1, secondScore: 0 };
  const differences = {
    labels: ['refund', 'repair'],
    confusion: [],
    rows: 1,
    differing: 1,
    firstBetter: 1,
    secondBetter: 0,
    examples: [example],
  };
  return htmlCard(record(), { comparison: null, evaluations: [], exports: [], differences });
}

it('says which layers a student of fewer has', () => {
  const stage = {
    position: 0,
    weight: 1,
    state: 'done',
    done: 9,
    total: 9,
    unit: 'passes',
    started: 1,
    ended: 2,
    seconds: 1,
    error: null,
  };
  const cut = stageRecord.parse({ ...stage, kind: 'cut', result: { kept: [0, 2, 4], layers: 5 } });
  expect(cutSentences({ stages: [cut] })).toEqual([
    'The student has 3 of 5 layers, those that its answers need most: 1, 3, 5.',
  ]);
  expect(cutSentences({ stages: [] })).toEqual([]);
});

it('says which files could not be written, and why', () => {
  const failed = {
    model: 'bitdistill',
    type: 'hf',
    embedding: 'f16',
    problem: { text: 'It has no place for it.' },
  } as const;
  const comparison = { rows: [], request: null, export: null, seconds: 1, failedExports: [failed] };
  const text = markdownCard(record(), { comparison, evaluations: [], exports: [], differences: null });
  expect(text).toContain('As hf it could not be written: It has no place for it.');
});

it('says which step of a training was kept, and that the evaluation rows did not choose it', () => {
  const stage = {
    position: 0,
    weight: 1,
    state: 'done',
    done: 9,
    total: 9,
    unit: 'steps',
    started: 1,
    ended: 2,
    seconds: 1,
    error: null,
  };
  const kept = { step: 1200, measure: 'macro-f1', value: 0.913, rows: 256 } as const;
  const stages = [
    { ...stage, kind: 'finetune', result: { steps: 4000 } },
    { ...stage, kind: 'distil', result: { steps: 2000, kept } },
    { ...stage, kind: 'evaluate', result: { teacher: 0.9 } },
  ].map((each) => stageRecord.parse(each));
  const [sentence, ...others] = keptSentences({ stages });
  expect(others).toEqual([]);
  expect(sentence).toBe(
    'Student (BitDistill): step 1,200 of 2,000 was kept, the best by macro F1 (91.3 %) on 256 training rows that were set apart to choose with; the evaluation rows chose nothing.',
  );
});

it('makes headings, tables, code and the recipe of the card into HTML', () => {
  const html = card('Money | back');
  expect(html).toContain('<h2>Machine and versions</h2>');
  expect(html).toContain('<td>A | B, 2 cores</td>');
  expect(html).toContain('<td><code>Money | back</code></td>');
  expect(html).toMatch(/<pre><code class="language-json">\{\n {2}&quot;/);
  expect(html).not.toContain('|---');
});

it("keeps a user's text text: no markup, no links, no images", () => {
  const html = card('<img src=x> [x](javascript:1)\n\n# not a heading `` <script>');
  expect(html).toContain(
    '<h1>A *bold* [link](http://evil.example) ![](http://evil.example/x.png) &lt;b&gt;&amp;amp; http://evil.example</h1>',
  );
  expect(html).toContain('<code>&lt;img src=x&gt; [x](javascript:1) # not a heading ˋˋ &lt;script&gt;</code>');
  expect(html).not.toMatch(/<(img|script|a|em|b)\b/);
});

it('says from which score on how many answers are right, and nothing of thresholds that no row reaches', () => {
  const calibration = {
    temperature: 1.8,
    errorBefore: 0.12,
    error: 0.02,
    sure: [
      { atLeast: 0.9, rows: 160, right: 152, ci95: [0.9, 0.97] as [number, number] },
      { atLeast: 0.95, rows: 0, right: 0, ci95: [0, 1] as [number, number] },
    ],
  };
  const evaluation = {
    model: 'bitdistill' as const,
    metric: 'accuracy' as const,
    value: 0.8,
    ci95: [0.74, 0.85] as [number, number],
    rows: 200,
    crossEntropy: 0.5,
    scores: {},
    differences: [],
    predictions: [],
    answers: [],
    calibration,
  };
  expect(sureSentences([evaluation])).toEqual([
    "Where the student's score is at least 90 %, which it is on 80.0 % of the rows, it is right on 95.0 % of them.",
  ]);
  expect(
    markdownCard(record(), { comparison: null, evaluations: [evaluation], exports: [], differences: null }),
  ).toContain('it is right on 95.0 % of them');
  expect(sureSentences([{ ...evaluation, model: 'teacher' }])).toEqual([]);
});

it('says which card trained a model, and where another processor had a part in it', () => {
  const stage = {
    position: 0,
    weight: 1,
    state: 'done',
    done: 9,
    total: 9,
    unit: 'steps',
    started: 1,
    ended: 2,
    seconds: 1,
    error: null,
  };
  const card = 'nvidia ampere (NVIDIA: 580.95.05)';
  const stages = [
    { ...stage, kind: 'finetune', result: { steps: 20 } },
    { ...stage, kind: 'distil', result: { steps: 20, computedOn: [card, 'processor'] } },
    { ...stage, kind: 'baseline', result: { steps: 20, computedOn: [card] } },
  ].map((each) => stageRecord.parse(each));
  expect(cardSentences({ stages })).toEqual([
    `Student (BitDistill): trained on ${card}, then on the processor: the same run on one of them ends with other bits.`,
    `BitNet-SFT (ternary, fine-tuned only): trained on ${card}.`,
  ]);
});
