/** What `run`, `resume`, `demo`, `evaluate` and `export` share: a workspace, a running experiment, Ctrl-C, the closing table. */
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { JobKind } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { Comparison } from '../../contract/results.ts';
import { StopSignal } from '../../jobs/stop-signal.ts';
import { readComparison } from '../../workbench/results/comparison.ts';
import { runExperiment } from '../../workbench/experiments/run-experiment.ts';
import { openWorkspace, type Workspace } from '../../workbench/workspace/workspace.ts';
import { comparisonTable } from './comparison-table.ts';
import { ProgressDisplay } from './progress-display.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { type CommonOptions, exitCodes, type Shell } from './shell.ts';

/** Opens the workspace for `work`, tells its notices, closes it whatever happens. */
export async function withWorkspace<T>(
  shell: Shell,
  options: CommonOptions,
  mode: 'read' | 'write',
  purpose: string,
  work: (workspace: Workspace) => Promise<T> | T,
): Promise<T> {
  const workspace = await openWorkspace({
    ...(options.workspace === undefined ? {} : { folder: options.workspace }),
    mode,
    purpose: `tritsmith ${purpose}`,
  });
  try {
    for (const notice of workspace.notices) shell.err(`Note: ${notice}\n`);
    for (const id of workspace.interrupted)
      shell.err(`Note: Experiment ${id} was interrupted. "tritsmith resume ${id}" goes on from its last checkpoint.\n`);
    return await work(workspace);
  } finally {
    workspace.close();
  }
}

/**
 * Runs or goes on with an experiment. Ctrl-C once pauses (the state is saved), twice cancels. Ends with the comparison: a table, or
 * with `json` exactly its JSON.
 * @param ranks see `RunExperimentOptions`
 */
export async function runSession(
  shell: Shell,
  workspace: Workspace,
  what: Recipe | string,
  options: CommonOptions & { again?: readonly JobKind[] },
  ranks?: SpawnPort,
): Promise<ExperimentRecord> {
  const signal = new StopSignal();
  const display = new ProgressDisplay(shell);
  let announced = false;
  const release = shell.onInterrupt(() => {
    if (signal.request === null) {
      display.line('Pausing: saving the state after the current step. Ctrl-C again cancels without saving.');
      signal.ask('pause');
    } else if (signal.request === 'pause') {
      display.line('Cancelling.');
      signal.ask('cancel');
    }
  });
  try {
    const record = await runExperiment(workspace, what, {
      port: shell.port,
      signal,
      ...(ranks === undefined ? {} : { ranks }),
      ...(options.again === undefined ? {} : { again: options.again }),
      onEvent: (event) => {
        if (event.type === 'changed' && !announced) {
          announced = true;
          display.line(`Experiment ${event.experiment.id} in ${workspace.experimentFolder(event.experiment.id)}`);
        }
        display.show(event);
      },
    });
    display.end();
    closeSession(shell, workspace, record, options);
    return record;
  } finally {
    display.end();
    release();
  }
}

/** What `run --json` and `demo --json` promise, and nothing else. */
function resultJson({ rows, export: exported, seconds }: Comparison): Pick<Comparison, 'rows' | 'export' | 'seconds'> {
  return { rows, export: exported, seconds };
}

/** How a run ends on the command line: with its table, or with how to go on. */
export function closeSession(
  shell: Shell,
  workspace: Workspace,
  record: ExperimentRecord,
  options: CommonOptions,
): void {
  if (record.state !== 'done') {
    shell.exitCode = record.state === 'paused' ? exitCodes.paused : exitCodes.cancelled;
    if (options.json === true) shell.out(`${JSON.stringify({ experiment: record.id, state: record.state })}\n`);
    const where = options.workspace === undefined ? '' : ` --workspace ${options.workspace}`;
    shell.err(
      `${record.state === 'paused' ? 'Paused, the state is saved' : 'Cancelled'}. To go on: tritsmith resume ${record.id}${where}\n`,
    );
    return;
  }
  const found = readComparison(workspace, record);
  if (options.json === true) shell.out(`${JSON.stringify(found === null ? null : resultJson(found))}\n`);
  else if (found === null) shell.err('The experiment is done; its recipe compares nothing.\n');
  else shell.out(`\n${comparisonTable(found, record.recipe.task.kind)}`);
}
