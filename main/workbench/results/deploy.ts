/** A folder for those who use an experiment's student, made by a worker. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { lastPart } from '../../contract/local-path.ts';
import type { Deployed } from '../../contract/queries.ts';
import type { ExportedModel } from '../../contract/views.ts';
import { scoreTemperature } from '../../experiment/results.ts';
import { askWorker } from '../../jobs/host.ts';
import { withPaths } from '../experiments/recipe-inputs.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { markdownCard } from './model-card.ts';
import { readResults } from './results.ts';

/**
 * Writes the folder `into` around `file`, an exported GGUF file of the experiment. The folder leaves the house: its card quotes no rows, and of the files that
 * the recipe names their names alone.
 * @throws TritsmithError `bad-input` for another kind of file; as `writeDeployFolder`
 */
export async function deploy(
  workspace: Workspace,
  record: ExperimentRecord,
  file: ExportedModel,
  into: string,
  port: SpawnPort,
): Promise<Deployed> {
  if (!file.path.endsWith('.gguf')) throw new TritsmithError('bad-input', 'deploy.no-gguf', { type: file.type });
  const experiment = workspace.experimentFolder(record.id);
  return askWorker(port, {
    type: 'deploy',
    request: {
      path: file.path,
      pruned: file.pruning != null,
      runsIn: (file.verdicts ?? []).filter(({ runs }) => runs).map(({ program }) => program),
      recipe: record.recipe,
      experiment,
      ...scoreTemperature(experiment, file.model),
      card: markdownCard(
        { ...record, recipe: withPaths(record.recipe, lastPart) },
        { ...readResults(workspace, record), differences: null },
      ),
      into,
    },
  });
}
