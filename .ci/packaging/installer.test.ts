import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appId } from '../../main/shell/electron/app-id.ts';
import { root } from '../node.mjs';
import { draw, png, shapesOf, writeIcons } from './icons.ts';
import { builderConfiguration, stageApp, writeResources } from './installer.ts';
import { targetNamed, targets } from './targets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-installer-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const write = (path: string, text = ''): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};

describe('the icon', () => {
  const svg = join(root, 'renderer', 'public', 'icon.svg');

  it('has the colours of the drawing where its shapes are', () => {
    const pixels = draw(shapesOf(readFileSync(svg, 'utf8')), 64);
    const at = (x: number, y: number): number[] => [...pixels.subarray((y * 2 * 64 + x * 2) * 4).slice(0, 4)];
    expect(at(16, 28)).toEqual([0x0e, 0x5f, 0x59, 255]);
    expect(at(16, 16)).toEqual([0xe6, 0xeb, 0xf0, 255]);
    expect(at(8, 20)).toEqual([0xf4, 0xa5, 0x82, 255]);
    expect(at(24, 10)).toEqual([0x7f, 0xe3, 0xd4, 255]);
    // Round corners: nothing is there.
    expect([at(0, 0)[3], at(31, 31)[3]]).toEqual([0, 0]);
    expect(() => shapesOf('<svg><ellipse rx="1"/></svg>')).toThrow('ellipse');
  });

  it("of a window on Linux is the drawing's picture", () => {
    const drawn = png(draw(shapesOf(readFileSync(svg, 'utf8')), 256), 256);
    expect(readFileSync(join(dirname(svg), 'icon.png')).equals(drawn)).toBe(true);
  });

  it('comes in the formats of the systems, whose headers tell where each picture lies', () => {
    writeIcons(svg, folder);
    const big = readFileSync(join(folder, 'icons', '1024x1024.png'));
    expect([big.readUInt32BE(16), big.readUInt32BE(20)]).toEqual([1024, 1024]);
    expect(png(new Uint8Array(4), 1).subarray(1, 4).toString()).toBe('PNG');
    const ico = readFileSync(join(folder, 'icon.ico'));
    expect(ico.readUInt16LE(4)).toBe(6);
    for (let index = 0; index < 6; index++) {
      const [bytes, offset] = [ico.readUInt32LE(6 + 16 * index + 8), ico.readUInt32LE(6 + 16 * index + 12)];
      const picture = ico.subarray(offset, offset + bytes);
      expect([picture.readUInt32BE(16) & 255, picture.subarray(-8, -4).toString()]).toEqual([
        ico[6 + 16 * index],
        'IEND',
      ]);
    }
    const icns = readFileSync(join(folder, 'icon.icns'));
    expect([icns.subarray(0, 4).toString(), icns.readUInt32BE(4)]).toEqual(['icns', icns.length]);
    const sizes: number[] = [];
    for (let at = 8; at < icns.length; at += icns.readUInt32BE(at + 4)) sizes.push(icns.readUInt32BE(at + 8 + 16));
    expect(sizes).toEqual([128, 256, 512, 1024]);
  });
});

describe('what electron-builder is told', () => {
  const configured = (name: string): Record<string, never> =>
    builderConfiguration({
      target: targetNamed(name),
      app: '/o/app',
      archive: folder,
      electron: '/e',
      electronVersion: '45.4.1',
      resources: '/o/build',
      output: '/o',
    }) as Record<string, never>;
  beforeEach(() => {
    for (const path of [
      'bin/node',
      'native/prebuilds/darwin-arm64/tritsmith.node',
      'node_modules/o/libonnxruntime.1.dylib',
      'main/a.js',
    ])
      write(`engine/${path}`);
  });

  it('is the same program on every system, published nowhere, with the fuses of a closed one', () => {
    for (const { name } of targets)
      expect(configured(name)).toMatchObject({
        appId,
        publish: null,
        asar: true,
        files: ['out/**', 'package.json'],
        electronFuses: {
          runAsNode: false,
          enableNodeOptionsEnvironmentVariable: false,
          enableNodeCliInspectArguments: false,
          onlyLoadAppFromAsar: true,
          enableEmbeddedAsarIntegrityValidation: true,
        },
        nsis: {
          perMachine: false,
          allowElevation: false,
          allowToChangeInstallationDirectory: true,
          deleteAppDataOnUninstall: false,
        },
      });
  });

  it('names what has to be signed on macOS', () => {
    expect(configured('darwin-arm64')['mac']).toMatchObject({
      binaries: [
        'Contents/Resources/engine/bin/node',
        'Contents/Resources/engine/native/prebuilds/darwin-arm64/tritsmith.node',
        'Contents/Resources/engine/node_modules/o/libonnxruntime.1.dylib',
      ],
    });
  });

  it('finds what it is told to take: icons, and what lets both V8s compile on macOS', () => {
    writeResources(folder);
    for (const name of ['icon.ico', 'icon.icns', 'icons/512x512.png'])
      expect(existsSync(join(folder, name)), name).toBe(true);
    expect(readFileSync(join(folder, 'entitlements.plist'), 'utf8')).toContain('com.apple.security.cs.allow-jit');
  });

  it("packs the window's own files alone, and starts at its main script", () => {
    for (const path of ['main/main.js', 'preload/preload.cjs', 'renderer/index.html', 'renderer.stamp'])
      write(`out/${path}`);
    const staged = (homepage?: string): Record<string, unknown> => {
      const own = '{"version":"1.2.3","license":"MIT","description":"d","dependencies":{"ws":"8"}}';
      stageApp(join(folder, 'app'), join(folder, 'out'), own, homepage);
      return JSON.parse(readFileSync(join(folder, 'app', 'package.json'), 'utf8')) as Record<string, unknown>;
    };
    const manifest = staged();
    expect(manifest).toMatchObject({ version: '1.2.3', main: 'out/main/main.js', type: 'module' });
    // The bundle stands alone.
    expect(manifest).not.toHaveProperty('dependencies');
    // Whoever publishes it says where.
    expect(manifest).not.toHaveProperty('homepage');
    expect(staged('https://tritsmith.example')['homepage']).toBe('https://tritsmith.example');
  });
});

describe("electron-builder's own lockfile", () => {
  it('names exact versions with their digests, and no registry', () => {
    const own = join(root, '.ci', 'packaging', 'electron-builder');
    const { devDependencies } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    expect(Object.values(devDependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    const { packages } = JSON.parse(readFileSync(join(own, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { integrity?: string; resolved?: string }>;
    };
    const locked = Object.entries(packages).filter(([path]) => path !== '');
    expect(locked.length).toBeGreaterThan(100);
    for (const [path, { integrity, resolved }] of locked) {
      expect(integrity, path).toMatch(/^sha512-/);
      expect(resolved, path).toBeUndefined();
    }
  });
});
