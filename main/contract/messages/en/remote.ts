/** Runs on another computer over ssh. */
import type { Names } from '../names.ts';
import { firstOf, type Sentences } from '../sentences.ts';

const size = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;

export const remote = {
  'machine.ssh': (): Sentences => ({
    message: 'Other computers: ssh is here',
    reason:
      'A run can be sent to a faster computer that you reach by ssh and that has Tritsmith, and fetched when it is done.',
  }),
  'machine.no-ssh': (): Sentences => ({
    message: 'Other computers: there is no ssh',
    reason: 'Without it no run can be sent to another computer. Nothing else needs it.',
    remedy: 'Install the client of OpenSSH if you want that.',
  }),
  'remote.bad-place': ({ text }: { text: string }): Sentences => ({
    message: `"${text}" names no computer.`,
    remedy:
      'Write user@host, or a name of your ssh configuration, and the folder of Tritsmith there behind a colon: ann@workstation:tritsmith. Without one it is the folder "tritsmith" in the home folder.',
  }),
  'remote.no-ssh': (): Sentences => ({
    message: 'There is no program "ssh" on this computer.',
    remedy:
      'Install OpenSSH (Debian and Ubuntu: openssh-client; Windows: the optional feature "OpenSSH Client"), and see that "ssh" is in the PATH.',
  }),
  'remote.host-unknown': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `ssh does not know ${host} yet, so it will not talk to it.`,
    reason: said,
    remedy: `Connect once by hand with "ssh ${host}" and compare the fingerprint that it shows with the one of that computer.`,
  }),
  'remote.host-changed': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `${host} answers with another key than before, so ssh will not talk to it.`,
    reason: said,
    remedy:
      'Either it was installed anew, or another computer answers in its place: ask who looks after it before you change known_hosts.',
  }),
  'remote.key-refused': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `${host} does not let you in.`,
    reason: said,
    remedy: `Tritsmith asks for no password: "ssh ${host} true" must work without one. Copy your key there (ssh-copy-id ${host}), and load it into your agent where it has a passphrase (ssh-add).`,
  }),
  'remote.unreachable': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `${host} cannot be reached.`,
    reason: said,
    remedy: `See that it is on and in the same network, and that "ssh ${host} true" works.`,
  }),
  'remote.no-program': ({ host, folder }: { host: string; folder: string }): Sentences => ({
    message: `There is no Tritsmith in "${folder}" on ${host}.`,
    remedy: `Unpack a portable archive there, or clone Tritsmith and start it once; or name its folder behind a colon: ${host}:path/of/tritsmith. Linux and macOS can take runs, Windows cannot.`,
  }),
  'remote.no-node': ({ host, folder }: { host: string; folder: string }): Sentences => ({
    message: `The clone in "${folder}" on ${host} finds no Node to start with.`,
    reason: 'A command that comes over ssh has a shorter PATH than a terminal.',
    remedy: `Start it there once by hand ("npm run tritsmith -- doctor"): that installs the Node that it needs into the clone.`,
  }),
  'remote.other-version': ({ host, here, there }: { host: string; here: string; there: string | null }): Sentences => ({
    message: `${host} has another version of Tritsmith.`,
    reason: `Here it is ${here}, there ${there ?? 'one that takes no runs over ssh'}.`,
    remedy: 'Bring both to the same version.',
  }),
  'remote.other-recipe': ({ host, fields }: { host: string; fields: readonly string[] }): Sentences => ({
    message: `${host} understands this recipe otherwise than this computer, so nothing was started.`,
    reason: `Its version of Tritsmith differs in: ${fields.join(', ')}.`,
    remedy: 'Bring both to the same version.',
  }),
  'remote.no-answer': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `Tritsmith on ${host} ended without an answer.`,
    reason: said,
    remedy: `Try "ssh ${host}" and start it there by hand.`,
  }),
  'remote.broken': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `The connection to ${host} broke off.`,
    reason: said,
    remedy:
      'Do the same again: files go on where they stopped. A run that had started goes on there without the connection.',
  }),
  'remote.bad-answer': ({ host, problem }: { host: string; problem: string }): Sentences => ({
    message: `What ${host} answered cannot be understood.`,
    reason: problem,
    remedy: 'Bring both computers to the same version of Tritsmith.',
  }),
  'remote.bad-request': ({ problem }: { problem: string }): Sentences => ({
    message: 'A request to the remote agent cannot be understood.',
    reason: problem,
    remedy: 'It is spoken to by "tritsmith run --on" and "tritsmith remote" of the same version, not by hand.',
  }),
  'remote.no-space': ({ host, needed, free }: { host: string; needed: number; free: number }): Sentences => ({
    message: `The disk of ${host} is too full: the files need ${size(needed)}, and ${size(free)} are free.`,
    remedy: 'Make room there.',
  }),
  'remote.damaged-copy': ({ path }: { path: string }): Sentences => ({
    message: `${path} did not arrive as it was sent, twice.`,
    reason: 'It has another SHA-256: it changed while it was copied, or a disk is failing.',
    remedy: 'Try again when nothing writes to the file.',
  }),
  'remote.odd-file': ({ path }: { path: string }): Sentences => ({
    message: `${path} cannot be copied.`,
    reason: 'Its name holds a backslash, or is no text.',
    remedy: 'Rename it.',
  }),
  'remote.not-there': ({ id }: { id: string }): Sentences => ({
    message: `There is no run ${id} on that computer (any more).`,
    remedy: 'Send it again with "run --on".',
  }),
  'remote.unknown-run': ({ reference }: { reference: string }): Sentences => ({
    message: `No run was sent to another computer that is called "${reference}".`,
    remedy: '"tritsmith remote list" shows those that were.',
  }),
  'remote.several-runs': ({ reference, matches }: { reference: string; matches: readonly string[] }): Sentences => ({
    message: `"${reference}" is the beginning of several runs: ${matches.join(', ')}.`,
    remedy: 'Write more of it.',
  }),
  'remote.still-runs': ({ id }: { id: string }): Sentences => ({
    message: `${id} still runs.`,
    remedy: 'Wait for its end, or pause it first.',
  }),
  'remote.never-began': ({ id }: { id: string }): Sentences => ({
    message: `${id} has no experiment: it ended before one began.`,
    remedy: '"tritsmith remote watch" says why.',
  }),
  'remote.not-resumable': ({ id, state }: { id: string; state: string }): Sentences => ({
    message: `${id} has nothing to go on with: it is ${state}.`,
  }),
  'remote.ended-early': ({ said }: { said: string }): Sentences => ({
    message: 'The run ended before its experiment began.',
    reason: said,
  }),
  'remote.will-not-end': ({ id, pid }: { id: string; pid: number }): Sentences => ({
    message: `${id} does not end: process ${pid} is still there after it was killed.`,
    reason: 'It waits for a disk or a driver that does not answer.',
    remedy: 'It ends when that answers, or with the computer.',
  }),
  'remote.fetched-before': ({ id, experiment }: { id: string; experiment: string }): Sentences => ({
    message: `${id} was fetched before: it is the experiment ${experiment}.`,
    remedy: 'Remove that experiment first if you want it anew.',
  }),
  'remote.busy': ({ running }: { running: readonly string[] }, names: Names): Sentences => ({
    message: `That computer is busy: ${firstOf(running, 3)} runs there.`,
    reason: 'Two runs at a time take longer than one after the other, and each needs its memory.',
    remedy: `Wait until it has ended, or ${names.action('run.beside')}.`,
  }),
  'remote.not-fetched': ({ id }: { id: string }): Sentences => ({
    message: `${id} was not fetched, so removing it there would lose it.`,
    remedy: `Fetch it first, or say that it is not wanted: tritsmith remote remove ${id} --unfetched.`,
  }),
  'remote.not-with-ranks': (): Sentences => ({
    message: 'A run on another computer takes no ranks.',
    remedy: 'Log in there and start it with --ranks, --machines or --slurm (docs/cluster.md), or leave those out.',
  }),
};
