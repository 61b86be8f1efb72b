/** The workspace, its database and lock, experiments, and what pages ask for. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import { capital, type Sentences } from '../sentences.ts';

const showsWhatIsThere = (names: Names): string => `${capital(names.action('experiments.list'))} shows what is there.`;

/** What a recipe reads, and what is wrong with it. */
export interface InputProblem {
  what: 'teacher' | 'student-base' | 'training-rows' | 'evaluation-rows' | 'more-rows' | 'corpus';
  path: string;
  problem: 'missing' | 'no-model' | 'unreadable';
  /** The system's own word, such as EACCES. */
  code?: string | undefined;
}
const inputs = {
  teacher: 'teacher',
  'student-base': 'student base',
  'training-rows': 'training rows',
  'evaluation-rows': 'evaluation rows',
  'more-rows': 'rows without labels',
  corpus: 'corpus',
};
function inputProblem({ what, path, problem, code }: InputProblem): string {
  const found = {
    missing: 'does not exist',
    'no-model': 'is neither a model folder nor a GGUF file',
    unreadable: `cannot be read (${code ?? 'unknown'})`,
  }[problem];
  return `${inputs[what]}: ${path} ${found}`;
}

export const workbench = {
  'workspace.other-version': (): Sentences => ({
    message: 'The workspace is held by a workbench of another version.',
    remedy: 'End that workbench, then try again.',
  }),
  'workspace.newer': ({ version, known }: { version: number; known: number }, names: Names): Sentences => ({
    message: 'The workspace was made by a newer version of Tritsmith.',
    reason: `its schema is version ${version}, this program knows ${known}`,
    remedy: `Use that version, or ${names.action('workspace.choose')}.`,
  }),
  'workspace.not-writable': ({ folder, problem }: { folder: string; problem: string }, names: Names): Sentences => ({
    message: `The workspace ${folder} cannot be written to.`,
    reason: problem,
    remedy: `${capital(names.action('workspace.choose'))}, or mend its permissions.`,
  }),
  'workspace.contested': (): Sentences => ({
    message: 'The lock of the workspace is contested.',
    remedy: 'Try again.',
  }),
  /** `pid`: null for this very process. `machine`: where it runs. `since`: milliseconds of the epoch. `lock`: the file to delete where that machine is gone. */
  'workspace.held': (
    {
      folder,
      pid,
      machine,
      elsewhere,
      purpose,
      since,
      lock,
    }: {
      folder: string;
      pid: number | null;
      machine: string;
      elsewhere: boolean;
      purpose: string;
      since: number;
      lock: string;
    },
    names: Names,
  ): Sentences => ({
    message: `Another workbench is working in ${folder}.`,
    reason: `${pid === null ? 'this very process' : `process ${pid} on ${machine}`} ("${purpose}") has held it since ${new Date(since).toLocaleString()}`,
    remedy: elsewhere
      ? `Wait for it, or ${names.action('workspace.choose')}. If that machine is gone for good, delete ${lock}.`
      : `Wait for it, end it, or ${names.action('workspace.choose')}.`,
  }),
  'database.damaged': ({ problem }: { problem: string }): Sentences => ({
    message: 'The database of the workspace is damaged.',
    reason: problem,
    remedy: 'Start again: it is set aside and rebuilt from the folders of the experiments.',
  }),
  'database.not-writable': ({ problem }: { problem: string }, names: Names): Sentences => ({
    message: 'The database of the workspace cannot be opened or written.',
    reason: problem,
    remedy: `Check the permissions of the workspace, or ${names.action('workspace.choose')}.`,
  }),
  'database.failed': ({ problem }: { problem: string }): Sentences => ({
    message: 'The database of the workspace failed.',
    reason: problem,
  }),

  'experiment.none': ({ reference }: { reference: string }, names: Names): Sentences => ({
    message: `There is no experiment "${reference}" in this workspace.`,
    remedy: showsWhatIsThere(names),
  }),
  'experiment.several': (
    { reference, matches }: { reference: string; matches: readonly string[] },
    names: Names,
  ): Sentences => ({
    message: `There is no experiment "${reference}" in this workspace.`,
    reason: `several begin so: ${matches.join(', ')}`,
    remedy: showsWhatIsThere(names),
  }),
  'experiment.none-in-folder': ({ folder }: { folder: string }): Sentences => ({
    message: `There is no experiment in ${folder}.`,
  }),
  'experiment.runs': (): Sentences => ({
    message: 'This experiment is running.',
    remedy: 'Wait until it has ended.',
  }),
  'experiment.had-memory': ({ name }: { name: string }): Sentences => ({
    message: `${name} did not run out of memory.`,
    remedy: 'Resume it as it is.',
  }),
  'rehearsal.too-short': (): Sentences => ({
    message: 'The rehearsal ended before a step could be timed.',
    remedy: 'Try again.',
  }),
  'experiment.no-folder-name': ({ name, folder }: { name: string; folder: string }): Sentences => ({
    message: `No free folder name for "${name}" in ${folder}.`,
  }),
  'experiment.transition': ({ from, to }: { from: string; to: string }): Sentences => ({
    message: `An experiment that is ${from} cannot become ${to}.`,
  }),
  'experiment.nothing-to-lower': ({ name }: { name: string }): Sentences => ({
    message: `${name} trains with as little memory as it can.`,
    remedy: 'End other programs and resume it as it is, or start again with shorter rows or a smaller model.',
  }),
  'experiment.is-done': ({ name }: { name: string }): Sentences => ({
    message: `${name} is done; there is nothing to resume.`,
  }),
  'experiment.unfinished': ({ name }: { name: string }): Sentences => ({
    message: `${name} is not finished yet.`,
    remedy: 'Let it run to its end first.',
  }),
  'experiment.old-worker': ({ pid }: { pid: number }): Sentences => ({
    message: 'An old worker still works in the folder of this experiment.',
    reason: `process ${pid} does not end`,
    remedy: `End process ${pid}, then resume.`,
  }),
  'side-job.another': (): Sentences => ({
    message: 'Another file of this experiment is being made.',
    remedy: 'Wait for it, or cancel it.',
  }),
  'recipe.invalid': ({ problems }: { problems: readonly string[] }, names: Names): Sentences => ({
    message: 'The recipe is not valid.',
    reason: problems.join('; '),
    remedy: `Mend the fields that are named. ${capital(names.action('recipe.help'))} shows how to make a recipe.`,
  }),
  'recipe.inputs': ({ problems }: { problems: readonly InputProblem[] }): Sentences => ({
    message: 'The recipe names inputs that cannot be used.',
    reason: problems.map(inputProblem).join('; '),
    remedy: 'Correct the paths in the recipe. Relative paths are seen from the folder of the recipe file.',
  }),

  'path.not-a-folder': ({ path }: { path: string }): Sentences => ({
    message: `${path} is a file, not a folder.`,
    remedy: 'Choose its folder.',
  }),
  'path.not-granted': ({ path }: { path: string }, names: Names): Sentences => ({
    message: `${path} was not opened for Tritsmith.`,
    reason: 'Only what you choose in a dialog, drop on the window or allow when asked is read.',
    remedy: `${capital(names.action('path.choose'))}.`,
  }),
  'demo.missing': (): Sentences => ({
    message: 'The demo is not part of this copy of the program.',
    remedy: 'Start with a teacher and data of your own.',
  }),
  'upload.kind': ({ name }: { name: string }): Sentences => ({
    message: `"${name}" is not a data file that can be read.`,
    remedy: 'Drop a table (.xlsx, .ods, CSV, TSV, JSONL, JSON, Parquet, SQLite) or a text file.',
  }),
  'upload.size': (): Sentences => ({
    message: 'The size of the dropped file is not known.',
    remedy: 'Drop a file, not a stream, or type its path.',
  }),
  'upload.no-space': ({ bytes, free }: { bytes: number; free: number }): Sentences => ({
    message: 'The dropped file does not fit on the disk of the workspace.',
    reason: `It has ${bytesInWords(bytes)}; ${bytesInWords(free)} are free.`,
    remedy: 'Free some space, or type the path of the file: then it is read where it lies.',
  }),
};
