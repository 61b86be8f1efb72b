/** Workers as ranks: the port starts mpirun, which starts as many processes as share a job. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { message, type Message } from '../contract/messages/message.ts';
import { prepareMpi } from '../pipeline/ranks.ts';
import { OutputTail } from './output-tail.ts';
import { messageLine, messageOfLine } from './rank-channel.ts';
import type { SpawnPort, WorkerExit, WorkerProcess } from './spawn-port.ts';

export interface Machine {
  readonly name: string;
  readonly slots: number;
}

/** Where ranks run. */
export interface RankPlan {
  readonly ranks: number;
  /** Machines, with room for as many ranks each; absent: this machine, or those that Slurm lent. */
  readonly machines?: readonly Machine[];
  /** Interface, or network as address/bits, that ranks use among machines; absent: Open MPI chooses. */
  readonly network?: string;
}

/** Whether this process runs within an allocation of Slurm, whose machines mpirun knows. */
const inSlurm = (): boolean => process.env['SLURM_JOB_ID'] !== undefined;

/** Seconds until a silent connection between mpirun and its daemons is asked, between further questions, and how many go without an answer. */
const keepalive = { time: 30, intvl: 5, probes: 6 };

function lossOf(settings: Readonly<Record<string, number>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['--mca', `oob_tcp_keepalive_${name}`, String(value)]);
}

/**
 * Only shared memory and, where it is not excluded, TCP: what Open MPI would choose by itself on cards for InfiniBand and the like knows nothing of the network
 * that was named.
 */
const plainTransports = ['--mca', 'pml', 'ob1', '--mca', 'coll', '^hcoll,ucc'];

/** mpirun with its arguments. */
export function mpirunCommand({ ranks, machines, network }: RankPlan, program: readonly string[]): string[] {
  const elsewhere = machines !== undefined || inSlurm();
  return [
    'mpirun',
    ...['-np', String(ranks)],
    // A rank has threads of its own: it must not be bound to one core.
    ...['--bind-to', 'none'],
    ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : []),
    ...(machines === undefined ? [] : ['--host', machines.map(({ name, slots }) => `${name}:${slots}`).join(',')]),
    // A machine that says nothing for a minute is gone (Open MPI would wait for six).
    ...(elsewhere ? lossOf(keepalive) : []),
    // On one machine nothing listens to a network.
    ...(elsewhere
      ? []
      : ['--oversubscribe', ...plainTransports, '--mca', 'btl', '^tcp', '--mca', 'oob_tcp_if_include', 'lo']),
    ...(network === undefined
      ? []
      : [
          ...plainTransports,
          ...['--mca', 'btl', 'self,vader,tcp'],
          ...['--mca', 'btl_tcp_if_include', network, '--mca', 'oob_tcp_if_include', network],
        ]),
    ...program,
  ];
}

/** What every rank runs. */
export function rankProgram(entry: string = fileURLToPath(new URL('./rank-worker.ts', import.meta.url))): string[] {
  return [process.execPath, entry];
}

/**
 * A port whose workers are `plan.ranks` processes each.
 * @param entry what each of them runs; default: the production worker
 * @throws TritsmithError where there is no MPI
 */
export function mpiPort(plan: RankPlan, entry?: string): SpawnPort {
  prepareMpi();
  return { spawn: () => startRanks(mpirunCommand(plan, rankProgram(entry))) };
}

/** How long mpirun has to end its ranks before it is ended itself. */
const killMilliseconds = 3000;
const finalTypes = ['done', 'paused', 'cancelled', 'failed'];

function startRanks([program, ...args]: string[]): WorkerProcess {
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const tail = new OutputTail();
  const listeners: ((message: unknown) => void)[] = [];
  let heard = false;
  child.stdin.on('error', () => undefined);
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on('line', (line) => {
    const found = messageOfLine(line);
    if (found === null) {
      tail.push(`${line}\n`);
      return;
    }
    heard = true;
    if (found.before !== '') tail.push(`${found.before}\n`);
    for (const listener of listeners) listener(found.message);
    // The root waits for this with its last word behind it.
    if (finalTypes.includes((found.message as { type?: string }).type ?? '')) child.stdin.end();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    tail.push(text);
  });
  return {
    pid: child.pid,
    send: (sent) => {
      if (child.stdin.writable) child.stdin.write(messageLine(sent));
    },
    onMessage: (listener) => {
      listeners.push(listener);
    },
    onExit: (listener) => {
      child.once('error', (error) => {
        if (child.pid === undefined) listener({ code: null, signal: null, ranks: notStarted(program!, error.message) });
      });
      child.once('close', (code, signal) => {
        const ranks = lostRank(tail.toString()) ?? (heard ? null : notStarted(program!, firstWords(tail.toString())));
        listener({ code, signal, ...(ranks === null ? {} : { ranks }) } satisfies WorkerExit);
      });
    },
    kill: () => {
      // mpirun ends the ranks of all machines when it is asked to end.
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), killMilliseconds).unref();
    },
    outputTail: () => tail.toString(),
  };
}

function notStarted(program: string, problem: string): Message {
  return message('mpi.not-started', { program, problem });
}

/** What Open MPI says of ranks that end and machines that are gone. */
function lostRank(said: string): Message | null {
  const [, rank, node, signal] =
    /process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)/.exec(said) ?? [];
  if (rank !== undefined) return message('ranks.lost', { rank: Number(rank), node: node!, signal: Number(signal) });
  if (/lost communication with a remote daemon|lost connection to (a|the) (remote )?daemon/i.test(said))
    return message('ranks.lost-machine');
  return null;
}

/** Without the frames and empty lines of Open MPI's help texts. */
function firstWords(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '' && !/^-+$/.test(line.trim()));
  return lines.slice(0, 4).join(' ').slice(0, 500) || 'It said nothing.';
}
