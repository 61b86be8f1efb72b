import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { forkPort } from '../../jobs/fork-port.ts';
import { asCalled, calledAs, commandNames } from './called.ts';
import { inProcess } from './fixtures/in-process.ts';

it('names the script of an archive as it was called, npm in a clone, and else the plain word', () => {
  expect(calledAs({}, 'linux')).toBe('tritsmith');
  expect(calledAs({ npm_lifecycle_event: 'demo' }, 'linux')).toBe('npm run tritsmith --');
  expect(calledAs({ npm_lifecycle_event: 'test' }, 'linux')).toBe('tritsmith');
  expect(calledAs({ TRITSMITH_COMMAND: './tritsmith', npm_lifecycle_event: 'x' }, 'linux')).toBe('./tritsmith');
  expect(calledAs({ TRITSMITH_COMMAND: "/opt/Größe & Maß's/tritsmith" }, 'linux')).toBe(
    "'/opt/Größe & Maß'\\''s/tritsmith'",
  );
  expect(calledAs({ TRITSMITH_COMMAND: 'C:\\Tritsmith\\tritsmith.cmd' }, 'win32')).toBe('C:\\Tritsmith\\tritsmith.cmd');
  expect(calledAs({ TRITSMITH_COMMAND: 'C:\\Jörg M\\tritsmith.cmd' }, 'win32')).toBe('"C:\\Jörg M\\tritsmith.cmd"');
});

it('changes what is to be typed, and no path or sentence', () => {
  const command = '$&/tritsmith';
  expect(asCalled('Next: tritsmith resume a-1, "tritsmith serve-model x"', command)).toBe(
    'Next: $&/tritsmith resume a-1, "$&/tritsmith serve-model x"',
  );
  for (const text of ['/opt/tritsmith run/x', 'a tritsmith student', 'tritsmith runs', 'tritsmith run-4'])
    expect(asCalled(text, command)).toBe(text);
});

it('stands in what commands say on standard output', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-called-'));
  vi.stubEnv('TRITSMITH_COMMAND', './tritsmith');
  try {
    for (const list of [['list'], ['teacher', 'list'], ['remote', 'list']]) {
      const { out } = await inProcess(forkPort(), ...list, '--workspace', folder);
      expect([list, out]).toEqual([list, expect.stringMatching(/: \.\/tritsmith [a-z]/)]);
    }
  } finally {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  }
});

it('knows every command', async () => {
  const { out } = await inProcess(forkPort(), '--help');
  const listed = [...out.matchAll(/^ {2}([a-z][a-z-]*)(?: \[| <| {2})/gm)].map(([, name]) => name);
  expect(listed.filter((name) => name !== 'help' && name !== 'tritsmith')).toEqual(commandNames);
});
