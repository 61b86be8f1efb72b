import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundled, isAllowed, licencesPage, shippingPackages } from '../.ci/licences.mjs';
import { root } from './harness.ts';

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
}
interface Locked {
  version?: string;
  resolved?: string;
  integrity?: string;
  hasInstallScript?: boolean;
}
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');

describe('what is installed', () => {
  it('is named by exact versions', () => {
    const all = Object.entries({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    });
    expect(all.length).toBeGreaterThan(30);
    expect(all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  it('is known by its digest, and comes from whichever registry npm is told to use', () => {
    expect(locked.length).toBeGreaterThan(200);
    for (const [path, { integrity, resolved }] of locked) {
      expect(integrity, path).toMatch(/^sha512-/);
      expect(resolved, path).toBeUndefined();
    }
    expect(read('package-lock.json')).not.toContain('.tgz');
  });

  it('runs nothing while it is installed; what would like to is listed, one by one', () => {
    expect(read('.npmrc')).toMatch(/^ignore-scripts=true$/m);
    const wanting = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    const names = [...new Set(wanting.map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 13)))];
    expect(Object.keys(manifest.allowScripts).sort()).toEqual(names.sort());
    expect(Object.values(manifest.allowScripts).filter((allows) => allows)).toEqual([]);
  });

  it('has the licences that docs/third-party.md lists, none of them unknown or forbidden', () => {
    const packages = shippingPackages();
    expect(packages.length).toBeGreaterThan(50);
    expect(
      packages.filter(({ licence }) => !isAllowed(licence)).map(({ name, licence }) => `${name}: ${licence}`),
    ).toEqual([]);
    expect(read('docs/third-party.md'), 'run "npm run licences"').toBe(licencesPage());
    // Packages of other systems are not on this disk.
    for (const { path, name } of packages.filter(({ path: each }) => existsSync(join(root, each))))
      if (!/node-addon-api|^@types\//.test(name))
        expect(
          readdirSync(join(root, path)).some((file) => /^(licen[cs]e|readme|copying)/i.test(file)),
          path,
        ).toBe(true);
  });

  it('counts everything as shipping that the page imports', () => {
    const imported = new Set<string>();
    for (const entry of readdirSync(join(root, 'renderer'), { recursive: true, withFileTypes: true }))
      if (entry.isFile() && /\.(ts|vue)$/.test(entry.name) && !entry.name.includes('.test.'))
        for (const [, from] of readFileSync(join(entry.parentPath, entry.name), 'utf8').matchAll(
          /(?:from|import) '([^.'][^']*)'/g,
        ))
          imported.add(
            from!
              .split('/')
              .slice(0, from!.startsWith('@') ? 2 : 1)
              .join('/'),
          );
    const known = [...bundled, ...Object.keys(manifest.dependencies)];
    expect([...imported].filter((name) => !known.includes(name))).toEqual([]);
  });
});

describe('doors to the network', () => {
  /** The only files that open one, and why. */
  const doors: Record<string, string> = {
    'main/hub/hub-client.ts': 'downloads a teacher that the user asked for',
    'main/hub/network-settings.ts': 'opens none: sets the proxy and the certificates of the former',
    'main/shell/server/server.ts': 'listens on 127.0.0.1',
    'main/workbench/machine/rank-plan.ts': 'opens none: asks whether an address is a private one',
    'renderer/session.ts': 'asks its own server',
    'renderer/serving/examples.ts': 'opens none: shows code that asks a served student',
    'renderer/upload.ts': 'sends to its own server',
    'renderer/client.ts': 'connects to its own server',
  };
  const door =
    /(?<!type [^;\n]*)from '(?:node:)?(?:https?|http2|net|tls|dgram|dns(?:\/promises)?|undici|ws)'|\bfetch\(|new (?:WebSocket|EventSource|XMLHttpRequest|RTCPeerConnection)\b|sendBeacon\(|net\.fetch|openExternal/;

  it('are only those that are listed', () => {
    const found: string[] = [];
    for (const folder of ['main', 'native', 'preload', 'renderer'])
      for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || !/\.(ts|vue|cc|h)$/.test(entry.name) || /\.test\.|fixtures|\/build\//.test(path))
          continue;
        const text = readFileSync(path, 'utf8').replaceAll(/import type [^;]*;/g, '');
        const opens = /\.(cc|h)$/.test(path)
          ? /<(sys\/socket|netdb|curl\/curl|winsock2?)\.h>/.test(text)
          : door.test(text);
        if (opens) found.push(path.slice(root.length).replaceAll('\\', '/'));
      }
    expect(found.sort()).toEqual(Object.keys(doors).sort());
  });

  it('are opened by ssh in one place', () => {
    const starts = readdirSync(join(root, 'main'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('.test.'))
      .filter((name) => /\b(?:spawn|exec|execFile|fork)(?:Sync)?\(\s*['"`]ssh\b/.test(read(join('main', name))));
    expect(starts.map((name) => name.replaceAll('\\', '/'))).toEqual(['workbench/remote/ssh.ts']);
  });
});
