import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isCurrentPrebuild, nativeSources, prebuildFolder } from '../native-sources.mjs';
import { nodePackages, root } from '../node.mjs';
import { addonPath, addonPlaces } from '../../native/addon.ts';
import { compilations } from './binding-gyp.ts';
import { nodePackage, targetNamed, targets } from './targets.ts';

const gyp = readFileSync(join(root, 'native', 'binding.gyp'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'tritsmith-prebuild-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('binding.gyp, read for clang', () => {
  it('names every source of the addon for one processor or another, once', () => {
    for (const arch of ['x64', 'arm64']) {
      const sources = compilations(gyp, arch).map(({ source }) => source);
      expect(new Set(sources).size).toBe(sources.length);
    }
    const both = new Set(['x64', 'arm64'].flatMap((arch) => compilations(gyp, arch).map(({ source }) => source)));
    const onDisk = nativeSources().filter((path) => path.endsWith('.cc') && !path.startsWith('native/checks/'));
    expect([...both].map((source) => `native/${source}`).sort()).toEqual(onDisk);
  });

  it('compiles each with the arithmetic that makes equal bits, and only the kernels with what their processors add', () => {
    const x64 = compilations(gyp, 'x64');
    for (const { source, flags } of [...x64, ...compilations(gyp, 'arm64')]) {
      expect(flags, source).toContain('-ffp-contract=off');
      expect(flags, source).toContain('-O3');
      expect(flags, source).toContain('-DNAPI_VERSION=9');
      expect(flags.filter((flag) => flag.startsWith('<@') || flag === '-Wno-maybe-uninitialized')).toEqual([]);
    }
    const flagsOf = (name: string) => x64.find(({ source }) => source === name)!.flags;
    expect(flagsOf('kernels/avx512vnni.cc')).toContain('-mavx512vnni');
    expect(flagsOf('kernels/portable.cc').filter((flag) => flag.startsWith('-m'))).toEqual([]);
    expect(x64.some(({ source }) => source === 'kernels/neondot.cc')).toBe(false);
    const neon = compilations(gyp, 'arm64').find(({ source }) => source === 'kernels/neondot.cc')!;
    expect(neon.flags.filter((flag) => flag.startsWith('-m'))).toEqual(['-mcpu=generic+v8_2a+dotprod+fullfp16']);
  });
});

describe('the addon', () => {
  it('is looked for where it is compiled, then where it is prebuilt for this system', () => {
    expect(addonPlaces('win32', 'x64')).toEqual(['build/Release/tritsmith.node', 'prebuilds/win32-x64/tritsmith.node']);
    const prebuilt = join(prebuildFolder(process.platform, process.arch), 'tritsmith.node');
    expect(addonPath((path) => path === prebuilt)).toBe(prebuilt);
    expect(addonPath(() => true)).toBe(join(root, 'native', 'build', 'Release', 'tritsmith.node'));
    expect(() => addonPath(() => false)).toThrow(/neither compiled nor prebuilt for/);
  });

  it('that was prebuilt counts only when it is whole and of the sources that are there', () => {
    const place = join(folder, 'linux-x64');
    mkdirSync(place);
    expect(isCurrentPrebuild(place)).toBe(false);
    writeFileSync(join(place, 'tritsmith.node'), '');
    expect(isCurrentPrebuild(place)).toBe(false);
    writeFileSync(join(place, 'sources.sha256'), 'of other sources\n');
    expect(isCurrentPrebuild(place)).toBe(false);
    writeFileSync(join(place, 'sources.sha256'), 'these\n');
    expect(isCurrentPrebuild(place, 'these')).toBe(true);
  });
});

describe('targets', () => {
  it('have a Node in the lockfile each', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { os?: string | string[]; cpu?: string | string[] }>;
    };
    expect(targets.map(nodePackage).sort()).toEqual(Object.values(nodePackages).sort());
    for (const target of targets) {
      const locked = lock.packages[`node_modules/${nodePackage(target)}`]!;
      expect([locked.os].flat()).toEqual([target.platform]);
      expect([locked.cpu].flat()).toEqual([target.arch]);
    }
  });

  it('are known by name; another one is answered with the list', () => {
    expect(targetNamed('win-x64').platform).toBe('win32');
    expect(() => targetNamed('amiga')).toThrow(/linux-x64, linux-arm64, win-x64, darwin-arm64/);
  });
});
