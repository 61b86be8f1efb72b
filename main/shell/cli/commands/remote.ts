import { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { RemoteStatus, SentRun } from '../../../contract/remote.ts';
import { askAll, hello, remove, resume, stop } from '../../../workbench/remote/remote-runs.ts';
import type { SentRuns } from '../../../workbench/remote/sent-runs.ts';
import { placeOf, placeText } from '../../../workbench/remote/ssh.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { bytes, date } from '../quantities.ts';
import { besideText, bringHome, endOfRun, sentRunsOf, stateText, watchAndFetch } from '../remote-session.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { facts, tableOf } from '../text-table.ts';

export function remoteCommand(shell: Shell): Command {
  return new Command('remote')
    .description('runs on another computer over ssh, which "run --on" sent there')
    .addHelpText('after', '\nExamples:\n  tritsmith remote check ann@workstation\n  tritsmith remote watch latest\n')
    .addCommand(checkCommand(shell))
    .addCommand(listCommand(shell))
    .addCommand(
      ofRun(shell, 'watch', 'show how far it is, until it ends; Ctrl-C leaves it running', (runs, run, options) =>
        watchAndFetch(shell, runs, run, options, false),
      ),
    )
    .addCommand(
      ofRun(shell, 'pause', 'save its state and end its process there', (runs, run, options) =>
        stopped(shell, runs, run, 'pause', options),
      ),
    )
    .addCommand(
      ofRun<BesideOptions>(shell, 'resume', 'go on there from the last checkpoint', async (runs, run, options) => {
        const status = await resume(runs, run, options.beside);
        if (options.json === true) printJson(shell, status);
        shell.err(`It goes on. To look: tritsmith remote watch ${run.id}\n`);
      }).option('--beside', besideText),
    )
    .addCommand(
      ofRun(shell, 'cancel', 'end it there, and see that its process is gone', (runs, run, options) =>
        stopped(shell, runs, run, 'cancel', options),
      ),
    )
    .addCommand(
      ofRun(
        shell,
        'fetch',
        'bring its experiment into this workspace; one that is paused can go on here, with its stage anew',
        (runs, run, options) => bringHome(shell, runs, run, options),
      ),
    )
    .addCommand(
      ofRun<RemoveOptions>(
        shell,
        'remove',
        'remove it and its files there, and forget it here; what was fetched stays',
        (runs, run, options) => removed(shell, runs, run, options),
      ).option('--unfetched', 'although it was not fetched, and will be lost'),
    );
}

interface BesideOptions extends CommonOptions {
  readonly beside?: boolean;
}
interface RemoveOptions extends CommonOptions {
  readonly unfetched?: boolean;
}

async function removed(shell: Shell, runs: SentRuns, run: SentRun, options: RemoveOptions): Promise<void> {
  if (run.fetched === null && options.unfetched !== true)
    throw new TritsmithError('bad-input', 'remote.not-fetched', { id: run.id });
  const freedBytes = await remove(runs, run);
  if (options.json === true) printJson(shell, { run: run.id, freedBytes });
  else shell.out(`Removed ${run.id} from ${placeText(run.place)}: ${bytes(freedBytes)} are free there now.\n`);
}

function ofRun<Options extends CommonOptions>(
  shell: Shell,
  name: string,
  description: string,
  work: (runs: SentRuns, run: SentRun, options: Options) => Promise<void>,
): Command {
  return newCommand(name, description, `remote ${name} latest`)
    .argument('<run>', 'its name in "remote list", the beginning of it, or "latest"')
    .action((reference: string, options: Options) =>
      guarded(shell, options, () => {
        const runs = sentRunsOf(options);
        return work(runs, runs.find(reference), options);
      }),
    );
}

async function stopped(
  shell: Shell,
  runs: SentRuns,
  run: SentRun,
  how: 'pause' | 'cancel',
  options: CommonOptions,
): Promise<void> {
  const status = await stop(runs, run, how);
  if (status === null) return;
  await endOfRun(shell, runs, run, status, options, false);
  // It did what was asked.
  if (status.state === (how === 'pause' ? 'paused' : 'cancelled')) shell.exitCode = 0;
}

function checkCommand(shell: Shell): Command {
  return newCommand('check', 'see whether another computer can take runs', 'remote check ann@workstation:tritsmith')
    .argument(
      '<user@host[:folder]>',
      'as for ssh; the folder of Tritsmith there (default: "tritsmith" in the home folder)',
    )
    .action((text: string, options: CommonOptions) =>
      guarded(shell, options, async () => {
        const place = placeOf(text);
        const found = await hello(place);
        if (options.json === true) {
          printJson(shell, { ...place, ...found });
          return;
        }
        const { machine, versions, freeBytes, running } = found;
        shell.out(
          facts([
            ['Computer', placeText(place)],
            ['Processor', `${machine.processor}, ${machine.cores} cores, ${machine.architecture}`],
            ['Memory', bytes(machine.memoryBytes)],
            ['Free on its disk', bytes(freeBytes)],
            ['Tritsmith', versions['tritsmith'] ?? 'unknown'],
            ['Runs there now', running.length === 0 ? 'none' : running.join(', ')],
          ]),
        );
      }),
    );
}

function listCommand(shell: Shell): Command {
  return newCommand('list', 'runs that were sent from this workspace, newest first', 'remote list').action(
    (options: CommonOptions) =>
      guarded(shell, options, async () => {
        const runs = sentRunsOf(options);
        const asked = await askAll(runs);
        for (const text of new Set(asked.flatMap(({ problem }) => problem?.message ?? [])))
          shell.err(`Note: ${text}\n`);
        const found = asked.map(({ run, gone }) => ({
          run,
          state: gone ? 'not there any more' : lastText(run.last?.status),
        }));
        if (options.json === true) {
          printJson(
            shell,
            found.map(({ run: { id, place, name, sent, last, fetched }, state }) => ({
              id,
              place,
              name,
              sent,
              last,
              fetched,
              state,
            })),
          );
          return;
        }
        tell(
          shell,
          tableOf(
            found,
            [
              { title: 'run', of: ({ run }) => run.id },
              { title: 'where', align: 'left', of: ({ run }) => placeText(run.place) },
              { title: 'sent', align: 'left', of: ({ run }) => date(run.sent) },
              { title: 'state', align: 'left', of: ({ state }) => state },
              { title: 'here', align: 'left', of: ({ run }) => run.fetched ?? '-' },
            ],
            'Nothing was sent yet. Try: tritsmith run recipe.json --on user@host\n',
          ),
        );
      }),
  );
}

function lastText(status: RemoteStatus | undefined): string {
  return status === undefined ? 'unknown' : stateText(status);
}
