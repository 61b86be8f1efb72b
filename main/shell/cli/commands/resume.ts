import type { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { isResumable } from '../../../workbench/experiments/experiment-state.ts';
import { assertRanksShare } from '../../../contract/ranks-of-recipe.ts';
import type { Recipe } from '../../../contract/recipe.ts';
import { guarded, newCommand } from '../command.ts';
import { runSession, withWorkspace } from '../session.ts';
import { handedOver, rankPlanOf, type RankOptions, ranksPort, withRankOptions } from '../rank-options.ts';
import { engineOption, withEngine } from '../engine-option.ts';
import type { Shell } from '../shell.ts';

export function resumeCommand(shell: Shell): Command {
  const command = newCommand('resume', 'go on with an experiment from its last checkpoint', 'resume latest');
  command.addOption(engineOption());
  return withRankOptions(command)
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .action((reference: string, options: RankOptions & { engine?: Recipe['engine'] }) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'write', 'resume', async (workspace) => {
          const record = workspace.experiments.find(reference);
          if (!isResumable(record.state))
            throw new TritsmithError('bad-input', 'cli.nothing-to-resume', { id: record.id, state: record.state });
          if (options.engine !== undefined)
            workspace.experiments.setRecipe(record.id, withEngine(record.recipe, options.engine));
          const plan = rankPlanOf(options);
          if (plan !== null) assertRanksShare(record.recipe, plan.ranks);
          if (handedOver(shell, plan, record.recipe, options, () => ['resume', record.id])) return;
          await runSession(shell, workspace, record.id, options, ranksPort(plan));
        }),
      ),
    );
}
