/** What a run that two ranks shared says of them: on its page, and on the command line. Needs MPI. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { makeTinyExperiment, tinyOptimiser } from '../main/pipeline/fixtures/tiny-experiment.ts';
import { hasMpi } from '../main/testing/mpi.ts';
import { faultsInBothThemes } from './accessibility.ts';
import { describeInBrowser, openScene } from './scene.ts';

const program = fileURLToPath(new URL('../main/shell/cli/main.ts', import.meta.url));

function tritsmith(workspace: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args, '--workspace', workspace], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return stdout;
}

describe.skipIf(!hasMpi())('a run that two ranks shared', () => {
  describeInBrowser('on its page', () => {
    const scene = openScene({
      prepare: async (folder) => {
        const recipe = join(folder, 'recipe.json');
        const content = await makeTinyExperiment(folder, { distil: { steps: 12, optimiser: tinyOptimiser } });
        writeFileSync(recipe, JSON.stringify({ ...content, pretrain: null, baseline: false, exports: [] }));
        tritsmith(join(folder, 'workspace'), 'run', recipe, '--ranks', '2', '--threads', '1');
      },
    });

    it('says how they share a step, and for experts what each of them does', async () => {
      const { page, workspace } = scene;
      const shown = tritsmith(workspace, 'show', 'latest');
      expect(shown).toMatch(/distil: 2 ranks on \S+ share each step\. It takes [\d.]+ m?s: /);
      expect(shown).toMatch(/^1 +\S+ +[\d,.]+ +[\d,.]+ ms +[\d,.]+ ms +[\d.]+ k?MB$/m);
      await page.goto(`${scene.origin}/experiments/tiny-1`);
      const card = page.getByTestId('ranks');
      await card.getByText(/^2 ranks on \S+ share each step/).waitFor();
      await card.getByText('Each rank').click();
      await expect.poll(() => card.locator('tbody tr').count()).toBe(2);
      expect(await faultsInBothThemes(page, 'run-ranks')).toEqual([]);
    });
  });
});
