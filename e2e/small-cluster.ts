/**
 * Machines for tests of ranks: network and host-name namespaces on a bridge, with delay and loss between them. They share the file system, as the machines of
 * a cluster do. A small Slurm can be started on them.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const programs = { cluster: ['ip', 'tc', 'unshare', 'mpirun'], slurm: ['slurmctld', 'slurmd', 'sbatch', 'munged'] };

function has(program: string): boolean {
  return spawnSync('which', [program]).status === 0;
}

/** What of it lacks on this machine; empty: it can be made. */
export function missingFor(what: keyof typeof programs): string[] {
  if (process.platform !== 'linux') return ['Linux'];
  return [...(process.getuid?.() === 0 ? [] : ['root']), ...programs[what].filter((program) => !has(program))];
}

function must(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${stderr}${error === undefined ? '' : error.message}`);
  return stdout;
}

export interface SmallCluster {
  /** In the place of ssh, for Open MPI: `agent <machine> <command>`. */
  readonly agent: string;
  readonly network: string;
  /** What was done to it. */
  readonly impaired: string;
  /** How to start a program on a machine. */
  on(machine: string, program: string, ...args: string[]): [string, string[]];
  /** Takes a machine off the network, without a word to anybody. */
  cut(machine: string): void;
  mend(machine: string): void;
  /** Bytes that a machine sent so far. */
  sent(machine: string): number;
  /** Starts Slurm: its controller on the first machine, the others compute. @returns the environment of its commands */
  startSlurm(): Promise<NodeJS.ProcessEnv>;
  end(): void;
}

/** Makes the network of a namespace a bad one, as far as the kernel can. @returns what was done to it */
function impair(name: string): string {
  const inside = (...args: string[]): boolean =>
    spawnSync('ip', ['netns', 'exec', name, ...args], { stdio: 'ignore' }).status === 0;
  const discipline = (...args: string[]): boolean => inside('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...args);
  if (discipline('netem', 'delay', '2ms', 'loss', '0.5%')) return '2 ms of delay, 0.5 % loss';
  const slow = discipline('tbf', 'rate', '200mbit', 'burst', '64k', 'latency', '50ms');
  const rules =
    'table inet bad { chain in { type filter hook input priority 0; iif eth0 numgen random mod 1000 < 5 drop; }; }';
  const lossy = inside('nft', rules);
  return [slow ? '200 Mb/s' : '', lossy ? '0.5 % loss' : ''].filter((each) => each !== '').join(', ') || 'nothing';
}

/** A network whose machines send so fast, without loss. @returns what was done to it */
function narrow(name: string, megabits: number): string {
  const burst = `${Math.max(64, Math.ceil(megabits / 4))}k`;
  must(
    ...(['ip', 'netns', 'exec', name, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf'] as const),
    // A card lets a sender wait, and drops nothing.
    ...['rate', `${megabits}mbit`, 'burst', burst, 'limit', '64m'],
  );
  return `${megabits} Mb/s`;
}

/**
 * @param machines their names
 * @param megabits a second that each of them can send; absent: a bad network
 */
export function makeCluster(folder: string, machines: readonly string[], megabits?: number): SmallCluster {
  const id = String(process.pid % 100_000);
  const bridge = `ts${id}`;
  const space = (machine: string): string => `ts${id}-${machine}`;
  const address = (machine: string): string => `10.77.${Number(id) % 250}.${machines.indexOf(machine) + 1}`;
  const children: ChildProcess[] = [];
  const impairments = new Set<string>();
  must('ip', 'link', 'add', bridge, 'type', 'bridge');
  must('ip', 'link', 'set', bridge, 'up');
  for (const [at, machine] of machines.entries()) {
    const name = space(machine);
    const inside = (...args: string[]) => must('ip', 'netns', 'exec', name, ...args);
    must('ip', 'netns', 'add', name);
    must('ip', 'link', 'add', `ts${id}v${at}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    must('ip', 'link', 'set', `ts${id}v${at}`, 'master', bridge, 'up');
    inside('ip', 'addr', 'add', `${address(machine)}/24`, 'dev', 'eth0');
    inside('ip', 'link', 'set', 'eth0', 'up');
    inside('ip', 'link', 'set', 'lo', 'up');
    impairments.add(megabits === undefined ? impair(name) : narrow(name, megabits));
    // "ip netns exec" puts it in the place of the machine's own.
    mkdirSync(`/etc/netns/${name}`, { recursive: true });
    const hosts = machines.map((each) => `${address(each)} ${each}\n`).join('');
    writeFileSync(`/etc/netns/${name}/hosts`, `127.0.0.1 localhost\n${hosts}`);
  }
  const on = (machine: string, program: string, ...args: string[]): [string, string[]] => [
    'ip',
    [
      'netns',
      'exec',
      space(machine),
      'unshare',
      '--uts',
      'sh',
      '-c',
      'hostname "$0"; exec "$@"',
      machine,
      program,
      ...args,
    ],
  ];
  const agent = join(folder, 'agent.sh');
  writeFileSync(
    agent,
    `#!/bin/sh\nmachine="$1"; shift\nexec ip netns exec "ts${id}-$machine" unshare --uts sh -c "hostname $machine; $*"\n`,
    { mode: 0o700 },
  );
  const link = (machine: string, state: 'up' | 'down'): void => {
    must('ip', 'link', 'set', `ts${id}v${machines.indexOf(machine)}`, state);
  };
  const start = (machine: string, program: string, ...args: string[]): void => {
    children.push(spawn(...on(machine, program, ...args), { stdio: 'ignore' }));
  };
  return {
    agent,
    impaired: [...impairments].join('; '),
    network: `10.77.${Number(id) % 250}.0/24`,
    on,
    cut: (machine) => {
      link(machine, 'down');
    },
    mend: (machine) => {
      link(machine, 'up');
    },
    sent: (machine) =>
      Number(must('ip', 'netns', 'exec', space(machine), 'cat', '/sys/class/net/eth0/statistics/tx_bytes')),
    startSlurm: async () => {
      const [controller, ...others] = machines as [string, ...string[]];
      const socket = join(folder, 'munge.socket');
      const configuration = join(folder, 'slurm.conf');
      for (const name of ['state', ...others.map((each) => `spool-${each}`)]) mkdirSync(join(folder, name));
      // Processes are told by their parents here, so no control groups are wanted.
      writeFileSync(join(folder, 'cgroup.conf'), 'CgroupPlugin=cgroup/v1\n');
      writeFileSync(join(folder, 'munge.key'), `${'tritsmith'.repeat(8)}\n`, { mode: 0o400 });
      writeFileSync(
        configuration,
        `ClusterName=small
SlurmctldHost=${controller}(${address(controller)})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${socket}
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool-%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd-%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
ReturnToService=2
${others.map((name) => `NodeName=${name} NodeAddr=${address(name)} CPUs=1 State=UNKNOWN`).join('\n')}
PartitionName=all Nodes=${others.join(',')} Default=YES MaxTime=INFINITE State=UP
`,
      );
      // One for all: they share the file system, and so its socket.
      start(
        controller,
        ...([
          'munged',
          '--foreground',
          '--force',
          '--key-file',
          join(folder, 'munge.key'),
          '--socket',
          socket,
        ] as const),
        ...['--pid-file', join(folder, 'munged.pid'), '--log-file', join(folder, 'munged.log')],
        ...['--seed-file', join(folder, 'munged.seed')],
      );
      for (let tries = 0; !existsSync(socket) && tries < 200; tries += 1) await sleep(50);
      start(controller, 'slurmctld', '-D', '-f', configuration);
      for (const name of others) start(name, 'slurmd', '-D', '-f', configuration, '-N', name);
      return { ...process.env, SLURM_CONF: configuration };
    },
    end: () => {
      for (const child of children.reverse()) child.kill('SIGTERM');
      for (const [at, machine] of machines.entries()) {
        const name = space(machine);
        spawnSync('ip', ['link', 'del', `ts${id}v${at}`]);
        spawnSync('ip', ['netns', 'del', name]);
        rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
      }
      spawnSync('ip', ['link', 'del', bridge]);
    },
  };
}
