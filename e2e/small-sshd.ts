/** A real sshd on this machine, on a port of its own with keys of its own, and an `ssh` that knows it by the names `there`, `stranger`, `locked` and `off`. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Recipe, recipeSchema } from '../main/contract/recipe.ts';
import { root } from './harness.ts';

const server = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/sbin/sshd'].find((path) => existsSync(path));

/** What this machine lacks for it. */
export function missingForSshd(): string[] {
  const client = spawnSync('ssh', ['-V']).status === 0;
  return [...(server === undefined ? ['openssh-server'] : []), ...(client ? [] : ['openssh-client'])];
}

export interface SmallSshd {
  /** With the `ssh` that knows this server first in its PATH, and no components on either side. */
  readonly env: NodeJS.ProcessEnv;
  /** Where programs that it starts keep the user's data. */
  readonly data: string;
  /** Ends the connections that are open; the server stays. */
  cut(): void;
  /** Whether ssh finds nobody behind its name. */
  refuse(refusing: boolean): void;
  end(): void;
}

export async function startSshd(folder: string): Promise<SmallSshd> {
  mkdirSync(folder, { recursive: true });
  const data = join(folder, 'data');
  const components = join(folder, 'components');
  const port = await freePort();
  const key = (name: string): string => {
    const path = join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
    return path;
  };
  const [host, user, other] = [key('host'), key('user'), key('other')];
  // One that is root separates privileges in a folder that no package may have made.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const config = join(folder, 'sshd_config');
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${host}`,
      `AuthorizedKeysFile ${user}.pub`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
      `SetEnv XDG_DATA_HOME=${data} TRITSMITH_COMPONENTS=${components}`,
      '',
    ].join('\n'),
  );
  const child = spawn(server!, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await listening(port, child, () => said);

  const known = join(folder, 'known_hosts');
  writeFileSync(known, `[127.0.0.1]:${port} ${readFileSync(`${host}.pub`, 'utf8')}`);
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  const entry = (name: string, knownHosts: string, identity: string, at: number): string =>
    [
      `Host ${name}`,
      '  HostName 127.0.0.1',
      `  Port ${at}`,
      `  User ${userInfo().username}`,
      `  UserKnownHostsFile ${knownHosts}`,
      `  IdentityFile ${identity}`,
      '  IdentitiesOnly yes',
      '  GlobalKnownHostsFile /dev/null',
      '',
    ].join('\n');
  const clientConfig = join(folder, 'ssh_config');
  const closed = await freePort();
  const writeConfig = (there: number): void => {
    const others = [entry('stranger', empty, user, port), entry('locked', known, other, port)];
    writeFileSync(
      clientConfig,
      [entry('there', known, user, there), ...others, entry('off', known, user, closed)].join(''),
    );
  };
  writeConfig(port);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const real = execFileSync('sh', ['-c', 'command -v ssh'], { encoding: 'utf8' }).trim();
  writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec '${real}' -F '${clientConfig}' "$@"\n`);
  chmodSync(join(bin, 'ssh'), 0o755);
  return {
    env: { ...process.env, TRITSMITH_COMPONENTS: components, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` },
    data,
    cut: () => {
      for (const pid of childrenOf(child.pid!)) process.kill(pid, 'SIGKILL');
    },
    refuse: (refusing) => {
      writeConfig(refusing ? closed : port);
    },
    end: () => {
      for (const pid of childrenOf(child.pid!)) process.kill(pid, 'SIGKILL');
      child.kill('SIGKILL');
    },
  };
}

function childrenOf(pid: number): number[] {
  const found = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return found.stdout
    .split('\n')
    .map(Number)
    .filter((number) => number > 0);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => {
        resolve(port);
      });
    });
  });
}

async function listening(port: number, child: ChildProcess, said: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt++) {
    const answers = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (answers) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`sshd did not start: ${said()}`);
}

/** The demo's teacher and 64 of its rows, six steps. */
export function tinyRecipe(files: string): Recipe {
  const demo = join(root, 'resources', 'demo');
  cpSync(join(demo, 'teacher'), join(files, "Lehrer's kleiner"), { recursive: true });
  const rows = (name: string, count: number): string => {
    const path = join(files, `${name} $HOME 'ü'.tsv`);
    const lines = readFileSync(join(demo, 'task', `${name}.tsv`), 'utf8').split('\n');
    writeFileSync(path, `${lines.slice(0, 1 + count).join('\n')}\n`);
    return path;
  };
  return recipeSchema.parse({
    name: 'tiny',
    teacher: join(files, "Lehrer's kleiner"),
    threads: 1,
    task: {
      name: 'tickets',
      kind: 'classification',
      train: rows('train', 64),
      dev: rows('dev', 20),
      textColumns: ['text'],
      labelColumn: 'queue',
    },
    finetune: null,
    refine: {},
    pretrain: null,
    distil: { steps: 6, optimiser: { learningRate: 1e-3, batchSize: 8 } },
    baseline: false,
    checkpoint: { steps: 2, minutes: 5 },
    exports: [{ type: 'i2_s' }],
  });
}
