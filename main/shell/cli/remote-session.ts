/** What `run --on` and `remote` share: progress of a run on another computer, and its way home. */
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentState } from '../../contract/experiments.ts';
import { percent } from '../../contract/quantities.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { RemotePlace, RemoteStatus, SentRun } from '../../contract/remote.ts';
import { fetchRun } from '../../workbench/remote/fetch.ts';
import { send, watch } from '../../workbench/remote/remote-runs.ts';
import { SentRuns } from '../../workbench/remote/sent-runs.ts';
import { placeText } from '../../workbench/remote/ssh.ts';
import { defaultWorkspaceFolder, prepareWorkspace } from '../../workbench/workspace/workspace-folder.ts';
import { printJson } from './command.ts';
import { bytes, count, elapsed } from './quantities.ts';
import { reportError } from './report-error.ts';
import { closeSession, withWorkspace } from './session.ts';
import { type CommonOptions, exitCodes, type Shell } from './shell.ts';

/** Of an option that starts a run there. */
export const besideText = 'although another run is under way there: both take longer';

/** The runs that were sent from the workspace of these options; nobody needs to hold it for them. */
export function sentRunsOf(options: CommonOptions): SentRuns {
  return new SentRuns(prepareWorkspace(options.workspace ?? defaultWorkspaceFolder()).folder);
}

/** Sends a recipe, watches it (unless `detach`) and fetches what became of it. */
export async function runElsewhere(
  shell: Shell,
  place: RemotePlace,
  recipe: Recipe,
  options: CommonOptions & { readonly detach?: boolean; readonly beside?: boolean },
): Promise<void> {
  const runs = sentRunsOf(options);
  const line = new ProgressLine(shell);
  const run = await send(runs, place, recipe, {
    beside: options.beside ?? false,
    onBytes: (sent, total) => {
      line.show(`Copying to ${place.host}: ${bytes(sent)} of ${bytes(total)}`, sent === total);
    },
  });
  line.end();
  shell.err(`Started on ${placeText(place)} as ${run.id}. It goes on there without this connection.\n`);
  if (options.detach === true) {
    if (options.json === true) printJson(shell, { run: run.id, host: place.host, folder: place.folder });
    else shell.out(`${run.id}\n`);
    return;
  }
  await watchAndFetch(shell, runs, run, options, true);
}

/** Shows its progress until it ends, or Ctrl-C ends the watching alone. A run that is done is fetched where `fetch` says so. */
export async function watchAndFetch(
  shell: Shell,
  runs: SentRuns,
  run: SentRun,
  options: CommonOptions,
  fetch: boolean,
): Promise<void> {
  const abort = new AbortController();
  const line = new ProgressLine(shell);
  const release = shell.onInterrupt(() => {
    abort.abort();
  });
  let status: RemoteStatus | null;
  try {
    status = await watch(
      runs,
      run,
      (now) => {
        line.show(statusText(now), false);
      },
      abort.signal,
    );
  } finally {
    line.end();
    release();
  }
  if (abort.signal.aborted || status === null) {
    shell.err(`It goes on there. To look again: tritsmith remote watch ${run.id}\n`);
    return;
  }
  await endOfRun(shell, runs, run, status, options, fetch);
}

/** Says how it ended; the exit code is that of a run here. */
export async function endOfRun(
  shell: Shell,
  runs: SentRuns,
  run: SentRun,
  status: RemoteStatus,
  options: CommonOptions,
  fetch: boolean,
): Promise<void> {
  shell.err(`${run.id}: ${stateText(status)}\n`);
  shell.exitCode = exitOf(status.state);
  if (status.state === 'done' && fetch) await bringHome(shell, runs, run, options);
  else if (status.error !== null) reportError(shell, TritsmithError.deserialise(status.error), options);
  else {
    if (options.json === true) printJson(shell, status);
    if (status.state === 'done') shell.err(`To bring it here: tritsmith remote fetch ${run.id}\n`);
    else if (status.state !== 'running')
      shell.err(
        `To go on there: tritsmith remote resume ${run.id}; to bring it here: tritsmith remote fetch ${run.id}\n`,
      );
  }
}

function exitOf(state: ExperimentState): number {
  if (state === 'paused') return exitCodes.paused;
  if (state === 'cancelled') return exitCodes.cancelled;
  return state === 'failed' || state === 'interrupted' ? exitCodes.failed : exitCodes.done;
}

/** Fetches it into the workspace, which must be free, and closes as a run here does. */
export async function bringHome(shell: Shell, runs: SentRuns, run: SentRun, options: CommonOptions): Promise<void> {
  await withWorkspace(shell, options, 'write', 'remote fetch', async (workspace) => {
    const line = new ProgressLine(shell);
    const record = await fetchRun(runs, workspace, run, (came, total) => {
      line.show(`Fetching from ${run.place.host}: ${bytes(came)} of ${bytes(total)}`, came === total);
    });
    line.end();
    shell.err(`Experiment ${record.id} in ${workspace.experimentFolder(record.id)}\n`);
    closeSession(shell, workspace, record, options);
  });
}

/** `done`, or how far it is. */
export function stateText({ running, state, stage, fraction, seconds }: RemoteStatus): string {
  if (!running && state === 'done') return `done (${elapsed(seconds)})`;
  const there = running && state !== 'running' ? `${state}, its process still ends` : state;
  if (stage === null) return there;
  return `${there}, ${stage.kind} ${count(stage.done)} of ${count(stage.total)} ${stage.unit}, all: ${percent(fraction, 0)}`;
}

function statusText(status: RemoteStatus): string {
  const { stage } = status;
  const parts = [
    stateText(status),
    ...(stage?.loss == null ? [] : [`loss ${stage.loss.toFixed(4)}`]),
    ...(stage?.tokensPerSecond == null ? [] : [`${count(Math.round(stage.tokensPerSecond))} tok/s`]),
  ];
  return parts.join('  ');
}

const plainMilliseconds = 5000;
const redrawMilliseconds = 100;

/** One line that is redrawn in a terminal; elsewhere a line every few seconds. */
class ProgressLine {
  readonly #shell: Shell;
  #drawn = -Infinity;
  #open = false;

  constructor(shell: Shell) {
    this.#shell = shell;
  }

  show(text: string, last: boolean): void {
    const pause = this.#shell.terminal ? redrawMilliseconds : plainMilliseconds;
    if (!last && performance.now() - this.#drawn < pause) return;
    this.#drawn = performance.now();
    if (this.#shell.terminal) this.#shell.err(`\r\u001b[2K${text.slice(0, Math.max(20, this.#shell.columns() - 1))}`);
    else this.#shell.err(`${text}\n`);
    this.#open = this.#shell.terminal;
  }

  end(): void {
    if (this.#open) this.#shell.err('\r\u001b[2K');
    this.#open = false;
  }
}
