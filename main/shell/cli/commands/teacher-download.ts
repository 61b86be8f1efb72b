import type { Command } from 'commander';
import { wordsOf } from '../../../contract/messages/told.ts';
import { type HubModelCard, hubModelId, hubPartsOf } from '../../../contract/hub.ts';
import { TritsmithError } from '../../../contract/errors.ts';
import { discardDownload, unfinishedDownloads } from '../../../hub/download.ts';
import { HubClient } from '../../../hub/hub-client.ts';
import {
  downloadsFolder,
  downloadTarget,
  fetchTeacher,
  foreseeDownload,
} from '../../../workbench/teachers/teacher-source.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { percent } from '../../../contract/quantities.ts';
import { bytes, parameters } from '../quantities.ts';
import { withWorkspace } from '../session.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';
import { cardText } from '../teacher-card.ts';
import { facts } from '../text-table.ts';

interface DownloadFlags extends CommonOptions {
  readonly show?: boolean;
  readonly discard?: boolean;
}

const redrawMilliseconds = 200;
const plainMilliseconds = 5000;

export function downloadCommand(shell: Shell): Command {
  return newCommand(
    'download',
    'download a model from the Hugging Face Hub into the workspace and add it; going on where an earlier download ended',
    'teacher download Qwen/Qwen3-0.6B',
  )
    .argument('<id>', 'model as the Hub names it: owner/name, or owner/name/file.gguf for one GGUF file')
    .option('--show', 'only tell what it is and what it would need')
    .option('--discard', 'remove what an unfinished download left, without asking the Hub')
    .addHelpText(
      'after',
      `
Only this command uses the network. HF_ENDPOINT names a mirror, HF_TOKEN an access token for gated models,
HF_HUB_OFFLINE=1 refuses. Ctrl-C stops: what is there stays for the next time, until --discard removes it.
`,
    )
    .action((id: string, options: DownloadFlags) =>
      guarded(shell, options, () => {
        if (!hubModelId.safeParse(id).success) throw new TritsmithError('bad-input', 'cli.hub-name', { id });
        return download(shell, id, options);
      }),
    );
}

async function download(shell: Shell, id: string, options: DownloadFlags): Promise<void> {
  const stop = new AbortController();
  const release = shell.onInterrupt(() => {
    stop.abort();
  });
  try {
    await withWorkspace(
      shell,
      options,
      options.show === true ? 'read' : 'write',
      'teacher download',
      async (workspace) => {
        const { folder } = workspace.paths;
        if (options.discard === true) return discardDownload(downloadTarget(folder, id));
        const client = new HubClient();
        const card = await foreseeDownload(client, id, folder, shell.port, stop.signal);
        if (options.show === true) {
          if (options.json === true) printJson(shell, card);
          else tell(shell, foreseenText(card));
          return;
        }
        if (!card.teacher.supported)
          throw new TritsmithError('unsupported', 'cli.no-teacher', {
            id,
            problem: card.teacher.problem,
          });
        // Where there are several, the person says which.
        if (card.gguf !== null && card.gguf.files.length > 1 && hubPartsOf(id).file === null)
          throw new TritsmithError('bad-input', 'cli.choose-gguf', { id, files: card.gguf.files });
        const target = downloadTarget(folder, card.plan.id);
        const earlier = (await unfinishedDownloads(downloadsFolder(folder))).find((each) => each.target === target);
        shell.err(
          `${id}: ${bytes(card.plan.bytes)} in ${String(card.plan.files.length)} files from ${client.endpoint}\n`,
        );
        if (earlier !== undefined) shell.err(`Going on: ${bytes(earlier.doneBytes)} are here already.\n`);
        const show = progressLine(shell, card.plan.bytes);
        try {
          const teacher = await fetchTeacher(client, card.plan, workspace, shell.port, {
            signal: stop.signal,
            doneBytes: earlier?.doneBytes ?? 0,
            onProgress: show,
          });
          show(null);
          if (options.json === true) printJson(shell, teacher);
          else tell(shell, cardText(teacher));
        } catch (thrown) {
          show(null);
          if (!stop.signal.aborted) throw thrown;
          shell.exitCode = exitCodes.paused;
          shell.err('Stopped. The same command goes on from here; with --discard it removes what is there.\n');
        }
      },
    );
  } finally {
    release();
  }
}

/** One redrawn line in a terminal, a plain line every few seconds elsewhere; null ends it. */
function progressLine(shell: Shell, total: number) {
  let drawn = Date.now();
  return (progress: { state: string; file: string; doneBytes: number } | null): void => {
    if (progress === null) {
      if (shell.terminal) shell.err('\r\u001b[K');
      return;
    }
    if (Date.now() - drawn < (shell.terminal ? redrawMilliseconds : plainMilliseconds)) return;
    drawn = Date.now();
    const { state, file, doneBytes } = progress;
    const line = `${percent(doneBytes / Math.max(1, total), 0).padStart(5)}  ${bytes(doneBytes)} of ${bytes(total)}  ${state === 'checking' ? 'checking ' : ''}${file}`;
    shell.err(shell.terminal ? `\r\u001b[K${line.slice(0, shell.columns() - 1)}` : `${line}\n`);
  };
}

function foreseenText(card: HubModelCard): string {
  const { plan, gated, gguf, teacher, disk, memory } = card;
  if (!teacher.supported)
    return `${plan.id} cannot be a teacher: ${teacher.problem === undefined ? 'unknown' : wordsOf(teacher.problem)}\n`;
  if (gguf !== null)
    return facts([
      ['Model', `${plan.id} at ${plan.revision.slice(0, 12)}`],
      ['Download', `${bytes(plan.bytes)}, ${bytes(disk.available)} free${disk.fits ? '' : ': it does not fit'}`],
      ['Licence', `${teacher.licence ?? 'not stated'}${gated ? ', to be accepted on its page' : ''}`],
      ['Family', teacher.architecture],
      ['Parameters', gguf.parameters === null ? 'not stated' : parameters(gguf.parameters)],
      ...gguf.files.map(({ name, bytes: size }, index): [string, string] => [
        index === 0 ? 'Files' : '',
        `${name}, ${bytes(size)}`,
      ]),
    ]);
  return facts([
    ['Model', `${plan.id} at ${plan.revision.slice(0, 12)}`],
    ['Download', `${bytes(plan.bytes)}, ${bytes(disk.available)} free${disk.fits ? '' : ': it does not fit'}`],
    ['Licence', `${teacher.licence ?? 'not stated'}${gated ? ', to be accepted on its page' : ''}`],
    ['Family', teacher.architecture],
    ['Parameters', `${parameters(teacher.parameters)}, ${parameters(teacher.bodyParameters)} of them become ternary`],
    ['Student', `body ${bytes(teacher.student.bodyBytes)}, whole file about ${bytes(teacher.student.fileBytes)}`],
    [
      'Training',
      `about ${bytes(memory.needed)} of memory, ${bytes(memory.available)} free${memory.fits ? '' : ': it may not fit'}`,
    ],
  ]);
}
