/** Which exported model a command of the runtime works on: a file, or a model of an experiment. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { readJsonObject } from '../../basics/bounded-json.ts';
import { type DeployedTask, deployedTask, deployedTaskFile } from '../../contract/deployed-task.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { studentModel, trainedModels, type TrainedModel } from '../../contract/model-names.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { exportOf } from '../../workbench/results/results.ts';
import { withWorkspace } from './session.ts';
import { absolutePath, modelPath } from './paths.ts';
import type { CommonOptions, Shell } from './shell.ts';

/** Processes that run an exported model. */
export const runtimePort = forkPort(fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url)));

const largestTask = 16 * 1024 * 1024;

export const modelOption = (): Option =>
  new Option('--model <name>', 'which model of the experiment').choices(trainedModels).default(studentModel);

export interface RunnableModel {
  readonly path: string;
  /** Folder of the tokenizer, or the file itself, which holds one. */
  readonly tokenizer: string;
  /** Null for a file that was named by itself. */
  readonly record: ExperimentRecord | null;
  /** Of the experiment. */
  readonly folder: string | null;
  /** What the folder says that was handed over with the file; null elsewhere. */
  readonly deployed: DeployedTask | null;
}

/** The path of a file, a folder that `deploy` made, or what `experimentModel` finds. */
export async function runnableModel(
  shell: Shell,
  reference: string,
  options: CommonOptions & { readonly model: TrainedModel; readonly tokenizer?: string },
): Promise<RunnableModel> {
  const path = absolutePath(reference);
  const given = options.tokenizer === undefined ? null : modelPath(options.tokenizer);
  if (existsSync(join(path, deployedTaskFile))) {
    const deployed = await readDeployedTask(path);
    const file = join(path, deployed.model);
    if (!existsSync(file)) throw new TritsmithError('not-found', 'cli.no-file', { path: file });
    return { path: file, tokenizer: given ?? path, record: null, folder: null, deployed };
  }
  if (!reference.endsWith('.gguf') && !(existsSync(path) && statSync(path).isFile())) {
    const found = await experimentModel(shell, reference, options);
    return { ...found, tokenizer: given ?? found.tokenizer, deployed: null };
  }
  if (!existsSync(path)) throw new TritsmithError('not-found', 'cli.no-file', { path });
  const beside = existsSync(join(dirname(path), 'tokenizer.json')) ? dirname(path) : null;
  return { path, tokenizer: given ?? beside ?? path, record: null, folder: null, deployed: null };
}

/** The exported file of an experiment's model, with the tokenizer it was made with. */
export function experimentModel(
  shell: Shell,
  reference: string,
  options: CommonOptions & { readonly model: TrainedModel },
): Promise<Omit<RunnableModel, 'deployed'> & { readonly record: ExperimentRecord; readonly folder: string }> {
  return withWorkspace(shell, options, 'read', 'runtime', (workspace) => {
    const record = workspace.experiments.find(reference);
    const folder = workspace.experimentFolder(record.id);
    return { path: exportOf(workspace, record, options.model).path, tokenizer: record.recipe.teacher, record, folder };
  });
}

/** @throws TritsmithError `damaged`, `bad-input` for a folder whose task.json is none of ours */
async function readDeployedTask(folder: string): Promise<DeployedTask> {
  const path = join(folder, deployedTaskFile);
  const parsed = deployedTask.safeParse(await readJsonObject(path, largestTask));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TritsmithError('damaged', 'deploy.damaged-task', {
    path,
    problem: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  });
}

/**
 * Does `work`; the first Ctrl-C asks the process to end after the current token or row (`cancel`), the second ends it at once (`kill`). What
 * `work` prints last belongs into it: a Ctrl-C after the last answer must not take that away.
 */
export async function cancellable<T>(
  shell: Shell,
  work: (cancel: AbortSignal, kill: AbortSignal) => Promise<T>,
): Promise<T> {
  const cancel = new AbortController();
  const kill = new AbortController();
  const release = shell.onInterrupt(() => {
    (cancel.signal.aborted ? kill : cancel).abort();
  });
  try {
    return await work(cancel.signal, kill.signal);
  } finally {
    release();
  }
}
