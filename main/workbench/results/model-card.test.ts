import { expect, it } from 'vitest';
import { experimentRecord } from '../../contract/experiments.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { htmlCard } from './model-card.ts';

const name = 'A *bold* [link](http://evil.example) ![](http://evil.example/x.png) <b>&amp; http://evil.example';

function card(prompt: string): string {
  const record = experimentRecord.parse({
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
  return htmlCard(record, { comparison: null, evaluations: [], exports: [], differences });
}

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
