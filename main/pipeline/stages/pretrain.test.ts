import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { runJob } from '../run-job.ts';

let root: string;
let recipe: Recipe;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-pretrain-'));
  recipe = await makeTinyExperiment(root);
});
afterAll(() => rmSync(root, { recursive: true }));

describe('pre-training', () => {
  it('says how many rows of the corpus hold no text, the second time too', async () => {
    const pretrain = recipe.pretrain!;
    appendFileSync(pretrain.corpus, '\n{"title": 7}\nno JSON at all\n{"text": "the last row"}\n');
    // More than the file holds, so that it is read to its end.
    const whole: Recipe = {
      ...recipe,
      pretrain: { ...pretrain, tokens: 32 * 1024, optimiser: { ...pretrain.optimiser, batchSize: 1024 } },
    };
    const folder = join(root, 'experiment');
    mkdirSync(folder);
    for (let time = 0; time < 2; time += 1) {
      const events: JobEvent[] = [];
      const context = { emit: (event: JobEvent) => events.push(event), stopRequested: () => null };
      await runJob({ kind: 'refine', recipe: { ...whole, finetune: null }, folder }, context);
      await runJob({ kind: 'pretrain', recipe: whole, folder }, context);
      const texts = events.flatMap((event) => (event.type === 'log' ? [event.text] : []));
      expect(texts).toContain('2 rows of the corpus hold no text and are left out.');
    }
  });
});
