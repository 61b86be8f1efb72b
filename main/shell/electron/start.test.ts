import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { atItsSource } from '../../../electron.vite.config.ts';
import { roomsOfWindow } from '../server/page-build.ts';
import { isSandboxRestricted, type SystemFiles } from './sandbox.ts';

describe("Electron's sandbox", () => {
  const binary = '/home/me/tritsmith/node_modules/electron/dist/electron';
  const system = (files: Record<string, string>, setuid: string[] = []): SystemFiles => ({
    read: (path) => files[path] ?? null,
    list: (folder) =>
      Object.keys(files).flatMap((path) => (path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1)] : [])),
    isSetuidRoot: (path) => setuid.includes(path),
  });
  const restriction = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns';

  it('is known not to work on Ubuntu 24.04 without a profile or a setuid helper', () => {
    expect(
      isSandboxRestricted(binary, system({ [restriction]: '1\n', '/etc/apparmor.d/code': '/usr/share/code/code' })),
    ).toBe(true);
  });

  it('works without the restriction, with a profile that names the binary, and with a setuid helper', () => {
    expect(isSandboxRestricted(binary, system({}))).toBe(false);
    expect(isSandboxRestricted(binary, system({ [restriction]: '0\n' }))).toBe(false);
    const profile = `profile tritsmith ${binary} flags=(unconfined) { userns, }`;
    expect(isSandboxRestricted(binary, system({ [restriction]: '1\n', '/etc/apparmor.d/tritsmith': profile }))).toBe(
      false,
    );
    const helper = binary.replace(/electron$/, 'chrome-sandbox');
    expect(isSandboxRestricted(binary, system({ [restriction]: '1\n' }, [helper]))).toBe(false);
  });
});

describe("the window's bundle", () => {
  it('finds what lies beside its sources, in a checkout anywhere', () => {
    const code = "new URL('./worker.ts', import.meta.url)";
    const moved = (id: string, checkout: string): string | null => atItsSource(code, id, checkout);
    expect(moved('/src/t/main/jobs/port.ts?x', '/src/t')).toBe(
      'new URL(\'./worker.ts\', new URL("../../main/jobs/port.ts", import.meta.url).href)',
    );
    expect(moved('C:/src/t/main/jobs/port.ts', 'C:/src/t')).toContain('"../../main/jobs/port.ts"');
    expect(moved('/x/node_modules/t/main/a.ts', '/x/node_modules/t')).toContain('"../../main/a.ts"');
    expect(moved('/src/t/node_modules/zod/index.js', '/src/t')).toBeNull();
    expect(moved('/src/tritsmith-other/main/a.ts', '/src/t')).toBeNull();
    expect(atItsSource('1 + 1', '/src/t/main/a.ts', '/src/t')).toBeNull();
  });

  it('is built anew after a change of any room that it holds', () => {
    const rooms = readFileSync(fileURLToPath(new URL('../../../.dependency-cruiser.mjs', import.meta.url)), 'utf8');
    const [, list] = /'main\/shell': \[([^\]]*)\]/.exec(rooms)!;
    const below = [...list!.matchAll(/'([^']+)'/g)].map(([, room]) => room!).filter((room) => room !== 'main/contract');
    expect(below.length).toBeGreaterThan(4);
    expect(roomsOfWindow).toEqual(expect.arrayContaining([...below, 'main/shell', 'preload']));
  });
});
