/** Processes of a test without a network: in a network namespace that has nothing but loopback where the system lends one. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const hook = pathToFileURL(fileURLToPath(new URL('./loopback-only.ts', import.meta.url))).href;

export interface NoNetwork {
  /** `namespace`: the kernel has no route; `hook`: Node's own doors are shut, and the browser resolves no name. */
  readonly kind: 'namespace' | 'hook';
  /** How to start `program` in it. */
  command(program: string, args: readonly string[]): [string, string[]];
  /** Environment of Node processes in it. */
  readonly env: NodeJS.ProcessEnv;
  /** A program that starts a browser in it, and its further arguments. */
  browser(path: string): { path: string; args: string[] };
  /** What Node processes tried to reach outside, a line each. */
  attempts(): string[];
  end(): void;
}

/** `folder`: where its log may lie. */
export async function withoutNetwork(folder: string): Promise<NoNetwork> {
  const log = join(folder, 'network.log');
  const env = {
    ...process.env,
    TRITSMITH_COMPONENTS: join(folder, 'components'),
    TRITSMITH_NETWORK_LOG: log,
    NODE_OPTIONS: `--import=${hook}`,
  };
  const attempts = (): string[] =>
    existsSync(log)
      ? readFileSync(log, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
      : [];
  const namespace = await openNamespace();
  if (namespace === null)
    return {
      kind: 'hook',
      command: (program, args) => [program, [...args]],
      env,
      browser: (path) => ({ path, args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'] }),
      attempts,
      end: () => undefined,
    };
  return {
    kind: 'namespace',
    command: (program, args) => ['nsenter', [...namespace.enter, program, ...args]],
    env,
    browser: (path) => {
      const script = join(folder, 'browser.sh');
      writeFileSync(script, `#!/bin/sh\nexec nsenter ${namespace.enter.join(' ')} '${path}' "$@"\n`, { mode: 0o700 });
      return { path: script, args: [] };
    },
    attempts,
    end: namespace.end,
  };
}

/** A process that holds a namespace with loopback up until its standard input ends; null where the system lends none. */
async function openNamespace(): Promise<{ enter: string[]; end: () => void } | null> {
  if (process.platform !== 'linux') return null;
  const holder = spawn('unshare', ['-rn', 'sh', '-c', 'ip link set lo up && echo ready && exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ready = await new Promise<boolean>((resolve) => {
    holder.once('error', () => {
      resolve(false);
    });
    holder.once('exit', () => {
      resolve(false);
    });
    holder.stdout.once('data', () => {
      resolve(true);
    });
  });
  if (!ready) return null;
  const enter = ['--preserve-credentials', '-U', '-n', '-t', String(holder.pid)];
  const end = (): void => {
    holder.stdin.end();
  };
  // The namespace must be enterable, and must have no way out.
  const route = spawnSync('nsenter', [...enter, 'ip', 'route'], { encoding: 'utf8' });
  if (route.status === 0 && route.stdout.trim() === '') return { enter, end };
  end();
  return null;
}
