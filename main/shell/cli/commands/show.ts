import type { Command } from 'commander';
import { type SerialisedError, TritsmithError } from '../../../contract/errors.ts';
import type { ExperimentRecord } from '../../../contract/experiments.ts';
import { foldedCurveNames } from '../../../contract/metric-names.ts';
import { readComparison } from '../../../workbench/results/comparison.ts';
import { pairedSentences, sureSentences } from '../../../workbench/results/model-card.ts';
import { readResults } from '../../../workbench/results/results.ts';
import type { Workspace } from '../../../workbench/workspace/workspace.ts';
import { reportedDifferences } from '../../../workbench/results/differences.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { comparisonTable } from '../comparison-table.ts';
import { readSharedStages } from '../../../experiment/shared-stages.ts';
import { differencesText } from '../differences-text.ts';
import { exportProofs } from '../export-proofs.ts';
import { ranksText } from '../ranks-text.ts';
import { bytes, count, date, elapsed } from '../quantities.ts';
import { runtimePort } from '../runnable-model.ts';
import { withWorkspace } from '../session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { facts, textTable } from '../text-table.ts';

interface ShowOptions extends CommonOptions {
  readonly logs?: boolean;
  readonly recipe?: boolean;
  readonly metric?: string;
  readonly points: number;
  readonly rows: number;
}

export function showCommand(shell: Shell): Command {
  return newCommand('show', 'show an experiment: stages, files, results', 'show latest --metric distil/loss')
    .argument('<experiment>', 'its id, the beginning of its id, or "latest"')
    .option('--logs', 'show its log lines')
    .option('--recipe', 'print its recipe, nothing else')
    .option('--metric <stage/name>', 'print a curve, thinned without losing its extremes')
    .option('--points <number>', 'most points of the curve', wholeNumber(4), 100)
    .option(
      '--rows <number>',
      'most rows shown on which teacher and student differ; 0: none, and no matrix',
      wholeNumber(0),
      10,
    )
    .action((reference: string, options: ShowOptions) =>
      guarded(shell, options, () =>
        withWorkspace(shell, options, 'read', 'show', (workspace) =>
          show(shell, workspace, workspace.experiments.find(reference), options),
        ),
      ),
    );
}

async function show(shell: Shell, workspace: Workspace, record: ExperimentRecord, options: ShowOptions): Promise<void> {
  if (options.recipe === true) {
    shell.out(`${JSON.stringify(record.recipe, null, 2)}\n`);
    return;
  }
  if (options.metric !== undefined) {
    const points = workspace.metrics.read(record.id, options.metric, { points: options.points });
    if (options.json === true) printJson(shell, { experiment: record.id, metric: options.metric, points });
    else
      shell.out(
        textTable(
          [{ title: 'step', align: 'right' }, { title: options.metric }],
          points.map(({ step, value }) => [String(step), String(value)]),
        ),
      );
    return;
  }
  const comparison = readComparison(workspace, record);
  const metrics = workspace.metrics.list(record.id);
  const logs = workspace.experiments.logs(record.id);
  const { evaluations } = readResults(workspace, record);
  const differences = await reportedDifferences(runtimePort, workspace, record, evaluations, options.rows);
  const shared = readSharedStages(workspace.experimentFolder(record.id));
  if (options.json === true) {
    printJson(shell, {
      ...record,
      folder: workspace.experimentFolder(record.id),
      ranks: shared,
      comparison,
      differences,
      metrics,
      ...(options.logs === true ? { logs } : {}),
    });
    return;
  }
  tell(shell, describe(record, workspace.experimentFolder(record.id)));
  for (const [stage, each] of Object.entries(shared)) shell.out(`\n${stage}: ${ranksText(each)}`);
  if (metrics.length > 0) shell.out(`\nCurves: ${foldedCurveNames(metrics.map(({ name }) => name)).join(', ')}\n`);
  if (comparison !== null) {
    shell.out(`\n${comparisonTable(comparison, record.recipe.task.kind)}`);
    for (const sentence of [...pairedSentences(evaluations), ...sureSentences(evaluations)]) shell.out(`${sentence}\n`);
    if (differences !== null) shell.out(`\n${differencesText(differences)}`);
  }
  if (comparison?.exports !== undefined && comparison.exports.length > 0)
    tell(shell, `\n${exportProofs(comparison.exports)}`);
  if (options.logs === true)
    shell.out(`\n${logs.map(({ time, stage, level, text }) => `${date(time)} ${stage} ${level}: ${text}\n`).join('')}`);
}

function describe(record: ExperimentRecord, folder: string): string {
  const head = facts([
    ['Experiment', `${record.id} (${record.state})`],
    ['Folder', folder],
    ['Teacher', record.recipe.teacher],
    ['Task', `${record.recipe.task.name}: ${record.recipe.task.train}`],
    ['Preset, seed', `${record.recipe.preset}, ${String(record.seed)}`],
    ['Created', date(record.created)],
    [
      'Machine',
      `${record.machine.processor}, ${String(record.machine.cores)} cores, ${bytes(record.machine.memoryBytes)}`,
    ],
    [
      'Versions',
      Object.entries(record.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ...(record.error === null ? [] : ([['Error', errorText(record.error)]] as const)),
  ]);
  const stages = textTable(
    [{ title: 'stage' }, { title: 'state', align: 'left' }, { title: 'done' }, { title: 'time' }],
    record.stages.map(({ kind, state, done, total, unit, seconds }) => [
      kind,
      state,
      total > 0 ? `${count(done)}/${count(total)} ${unit}` : '-',
      seconds > 0 ? elapsed(seconds) : '-',
    ]),
  );
  const files = textTable(
    [{ title: 'file' }, { title: 'size' }, { title: 'SHA-256', align: 'left' }],
    record.artifacts.map(({ path, bytes: size, sha256 }) => [path, bytes(size), sha256]),
  );
  return `${head}\n${stages}${record.artifacts.length === 0 ? '' : `\n${files}`}`;
}

function errorText(error: SerialisedError): string {
  const { message, reason, remedy } = TritsmithError.deserialise(error);
  return [message, reason, remedy].filter((part) => part !== undefined).join(' ');
}
