import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { environmentForElectron, environmentForNode } from '../../basics/plain-node.ts';
import { roomsOfWindow } from '../server/page-build.ts';
import { placesOf, profileFolder, runsInElectron } from './places.ts';
import { isSandboxRestricted, type SystemFiles } from './sandbox.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

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

describe("the window's shell", () => {
  /** Every file that is bundled, and every package, found by its imports. */
  function bundled(): { files: string[]; packages: string[] } {
    const files = new Set<string>();
    const packages = new Set<string>();
    const visit = (path: string): void => {
      if (files.has(path)) return;
      files.add(path);
      const text = readFileSync(join(root, path), 'utf8').replaceAll(/(import|export) type [^;]*;/g, '');
      for (const [, named] of text.matchAll(/(?:from |import\(|import )'([^']+)'/g))
        if (named!.startsWith('.')) visit(join(dirname(path), named!));
        else if (!named!.startsWith('node:')) packages.add(named!);
    };
    visit('main/shell/electron/main.ts');
    return { files: [...files], packages: [...packages].sort() };
  }

  it('holds neither the workbench nor the engine, and needs no package beside it', () => {
    const { files, packages } = bundled();
    expect(files).toContain('main/shell/electron/window-shell.ts');
    expect(files.filter((path) => !/^main\/(contract|basics|jobs|shell)\//.test(path))).toEqual([]);
    // zod is bundled.
    expect(packages).toEqual(['electron', 'zod']);
  });

  it('is built anew after a change of any room that it holds', () => {
    const rooms = new Set(bundled().files.map((path) => path.split('/').slice(0, 2).join('/')));
    rooms.delete('main/contract');
    expect([...rooms, 'preload'].sort()).toEqual([...roomsOfWindow].sort());
  });
});

describe('a process that is started on Windows', () => {
  it('opens no console beside the window', () => {
    const starting = readdirSync(join(root, 'main'), { recursive: true, encoding: 'utf8' })
      .map((path) => path.replaceAll('\\', '/'))
      .filter((path) => path.endsWith('.ts') && !/\.test\.ts$|(^|\/)(fixtures|testing)\//.test(path))
      .filter((path) => /from 'node:child_process'/.test(readFileSync(join(root, 'main', path), 'utf8')))
      .filter((path) => /\b(spawn|fork|execFile)(Sync)?\(/.test(readFileSync(join(root, 'main', path), 'utf8')));
    expect(starting).toContain('jobs/fork-port.ts');
    expect(
      starting.sort().filter((path) => !readFileSync(join(root, 'main', path), 'utf8').includes('windowsHide: true')),
    ).toEqual([
      // There is no MPI, Slurm or ps.
      'jobs/mpi-port.ts',
      // The window itself, and from a terminal in a clone.
      'shell/electron/run-window.ts',
      'shell/server/browsers.ts',
      'shell/server/page-build.ts',
      'workbench/experiments/process-identity.ts',
      'workbench/machine/slurm-script.ts',
    ]);
  });
});

describe('the parts of the program', () => {
  const files = (...paths: string[]) => ({ env: {}, exists: (path: string) => paths.includes(path) });

  it('are sources and the Node that started it in a clone', () => {
    const places = placesOf({
      platform: 'linux',
      appPath: '/home/me/tritsmith',
      resources: null,
      env: { TRITSMITH_NODE: '/home/me/node' },
      exists: () => false,
    });
    expect(places.node).toBe('/home/me/node');
    expect(places.script('main/jobs/worker')).toBe('/home/me/tritsmith/main/jobs/worker.ts');
    expect(places.page).toBe('/home/me/tritsmith/out/renderer');
  });

  it('are the engine outside of the asar in an installation, on Windows too', () => {
    const engine = 'C:\\Users\\Jörg M\\Tritsmith\\resources\\engine';
    const places = placesOf({
      platform: 'win32',
      appPath: 'C:\\Users\\Jörg M\\Tritsmith\\resources\\app.asar',
      resources: 'C:\\Users\\Jörg M\\Tritsmith\\resources',
      ...files(`${engine}\\bin\\node.exe`, `${engine}\\main\\jobs\\worker.js`),
    });
    expect(places.node).toBe(`${engine}\\bin\\node.exe`);
    expect(places.script('main/jobs/worker')).toBe(`${engine}\\main\\jobs\\worker.js`);
    expect(places.preload).toBe('C:\\Users\\Jörg M\\Tritsmith\\resources\\app.asar\\out\\preload\\preload.cjs');
  });

  it('have no Node of their own where none came along', () => {
    expect(
      placesOf({ platform: 'darwin', appPath: '/Applications/x', resources: '/Applications/r', ...files() }).node,
    ).toBeNull();
  });

  it("run in Electron's Node where it reads them", () => {
    expect(runsInElectron('/app/engine/main/shell/electron/workbench.js', false)).toBe(true);
    expect(runsInElectron('/src/t/main/shell/electron/workbench.ts', 'strip')).toBe(true);
    expect(runsInElectron('/src/t/main/shell/electron/workbench.ts', false)).toBe(false);
    expect(runsInElectron('C:\\x\\node_modules\\t\\main\\workbench.ts', 'strip')).toBe(false);
  });

  it("keep each workspace's window apart, in the user's own folder", () => {
    const of = (workspace: string, platform: NodeJS.Platform = 'linux') =>
      profileFolder(platform, '/home/me/.config', workspace);
    expect(of('/mnt/share/w')).toMatch(/^\/home\/me\/\.config\/Tritsmith\/windows\/[0-9a-f]{16}$/);
    expect(of('/mnt/share/w')).not.toBe(of('/mnt/share/W'));
    expect(of('C:\\W', 'win32')).toBe(of('c:\\w', 'win32'));
  });
});

describe('the environment of a window', () => {
  it('makes no plain Node of it, and what its own Node cannot read goes to the workers alone', () => {
    const given = {
      PATH: '/bin',
      ELECTRON_RUN_AS_NODE: '1',
      NODE_OPTIONS: '--inspect',
      NODE_COMPILE_CACHE: '/cache',
      Node_Options: 'x',
    };
    const window = environmentForElectron(given, '/node');
    expect(window).toEqual({ PATH: '/bin', TRITSMITH_NODE: '/node', TRITSMITH_COMPILED: '/cache' });
    expect(environmentForNode(window)['NODE_COMPILE_CACHE']).toBe('/cache');
    expect(environmentForNode({ PATH: '/bin' })).toEqual({ PATH: '/bin' });
  });
});
