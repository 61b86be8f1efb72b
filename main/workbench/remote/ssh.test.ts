/** What is asked of ssh, and what cannot be asked. That a real one answers: e2e/remote.test.ts. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { placeOf, placeText, sshArguments } from './ssh.ts';

const root = mkdtempSync(join(tmpdir(), 'tritsmith-ssh-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a place', () => {
  it.each([
    ['ann@workstation', { host: 'ann@workstation', folder: 'tritsmith' }],
    ['box:', { host: 'box', folder: 'tritsmith' }],
    ['box:~/tools/tritsmith', { host: 'box', folder: 'tools/tritsmith' }],
    ['box:~', { host: 'box', folder: '.' }],
    ['box:/opt/a b', { host: 'box', folder: '/opt/a b' }],
  ])('%s is read', (text, place) => {
    expect(placeOf(text)).toEqual(place);
    expect(placeOf(placeText(place))).toEqual(place);
  });

  it.each(['', '-oProxyCommand=x', ':folder', 'a b', 'box:a\nb', 'box;reboot', '$(x)', 'ann@-x'])(
    '%j is refused',
    (text) => {
      expect(() => placeOf(text)).toThrow(/names no computer/);
    },
  );
});

describe.skipIf(process.platform === 'win32')('the remote command', () => {
  const folder = `Ännes "Kiste" & 'co' $HOME \`id\` !x; #`;
  const shells = ['sh', 'bash', 'dash', 'zsh', 'fish', 'tcsh'].filter(
    (name) => spawnSync(name, ['-c', 'exit 0']).status === 0,
  );

  it.each(shells)('reaches a portable folder with any name through %s', (shell) => {
    const portable = join(root, shell, folder);
    mkdirSync(join(portable, 'engine'), { recursive: true });
    writeFileSync(join(portable, 'tritsmith'), '#!/bin/sh\necho "$PWD|$*"\n', { mode: 0o755 });
    const command = sshArguments({ host: 'box', folder: portable }).at(-1)!;
    const { status, stdout } = spawnSync(shell, ['-c', command], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${portable}|remote-agent\n` });
  });

  it.each(shells)('says through %s that nothing is there', (shell) => {
    const command = sshArguments({ host: 'box', folder: join(root, 'none') }).at(-1)!;
    expect(spawnSync(shell, ['-c', command]).status).toBe(97);
    expect(spawnSync(shell, ['-c', sshArguments({ host: 'box', folder: root }).at(-1)!]).status).toBe(97);
  });
});
