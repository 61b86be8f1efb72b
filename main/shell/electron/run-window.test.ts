import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const at = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<string>;
  saying(text: string): Promise<void>;
}

function start(program: string, args: readonly string[]): Running {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  return {
    child,
    ended: new Promise((resolve) => child.once('close', () => resolve(said.replaceAll('\r\n', '\n')))),
    saying: (text) => expect.poll(() => said).toContain(text),
  };
}

const open = [process.execPath, at('window-launcher.ts'), process.execPath, at('ending-window.ts')] as const;
const inOrder = 'ended {"code":0,"breakdown":null}\n';
// The tool of util-linux; BSD's takes other options.
const noTerminal = process.platform !== 'linux' || spawnSync('script', ['--version']).status !== 0;

describe.skipIf(process.platform === 'win32')('the launcher of a window', () => {
  it.skipIf(noTerminal)('lets Ctrl-C in a terminal reach the window once', async () => {
    const command = open.map((word) => `'${word}'`).join(' ');
    const running = start('script', ['--quiet', '--return', '--flush', '--command', command, '/dev/null']);
    await running.saying('open');
    running.child.stdin!.write('\x03');
    const said = await running.ended;
    expect(said).toContain('heard {"SIGINT":1}\n');
    expect(said).toContain(inOrder);
  });

  it('passes on a SIGTERM that came to it alone', async () => {
    const running = start(open[0], open.slice(1));
    await running.saying('open');
    running.child.kill('SIGTERM');
    expect(await running.ended).toBe(`open\nheard {"SIGTERM":1}\n${inOrder}`);
  });

  it('tells a breakdown at the start from an end', async () => {
    const run = (...args: string[]): Promise<string> =>
      start(process.execPath, [at('window-launcher.ts'), ...args]).ended;
    expect(await run('/bin/sh', '-c', 'exit 1')).toBe('ended {"code":1,"breakdown":null}\n');
    expect(await run('/bin/sh', '-c', 'exit 70')).toBe('ended {"code":70,"breakdown":"exit code 70"}\n');
    expect(await run('/bin/sh', '-c', 'kill -TRAP $$')).toBe('ended {"code":1,"breakdown":"SIGTRAP"}\n');
    expect(await run('/nowhere/electron')).toMatch(/"breakdown":"spawn .*ENOENT"/);
  });
});
