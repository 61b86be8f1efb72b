/**
 * `npm run prebuild [-- <platform> ...]`: compiles the native addon for every target on one Linux machine, with a zig that is pinned by its digest, into
 * `native/prebuilds/<platform>-<arch>/tritsmith.node`. No other compiler is needed, and no Node headers but those of two packages of the lockfile.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { digest, isCurrentPrebuild, nativeSources, prebuildFolder } from '../native-sources.mjs';
import { type Compilation, compilations } from './binding-gyp.ts';
import { zigFolder } from './pip.ts';
import { root } from '../node.mjs';
import { run } from './run.ts';
import { type Target, targetNamed, targets } from './targets.ts';

const native = join(root, 'native');
const modules = join(root, 'node_modules');
const cache = join(root, '.cache', 'prebuild');
const headers = join(modules, 'node-api-headers');

/** Options of every file besides those of binding.gyp: what node-gyp adds, and zig's undefined-behaviour traps off, which release builds do not want. */
const compileFlags = [
  '-fPIC',
  '-DNDEBUG',
  '-DBUILDING_NODE_EXTENSION',
  '-fno-sanitize=all',
  // No path of this machine in the file.
  `-ffile-prefix-map=${root}/=`,
  ...[native, join(headers, 'include'), join(modules, 'node-addon-api')].map((folder) => `-I${folder}`),
];

const linkFlags: Readonly<Record<Target['platform'], readonly string[]>> = {
  linux: ['-Wl,-z,now', '-Wl,--gc-sections'],
  // Else the name that it links under is its path here.
  darwin: ['-Wl,-undefined,dynamic_lookup', '-Wl,-install_name,@rpath/tritsmith.node'],
  win32: [],
};

async function compile(zig: string, target: Target, objects: string): Promise<string[]> {
  const waiting: Compilation[] = compilations(readFileSync(join(native, 'binding.gyp'), 'utf8'), target.arch);
  const done: string[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const object = join(objects, `${next.source.replaceAll('/', '-')}.o`);
      done.push(object);
      const args = ['c++', '-target', target.zig, '-c', ...compileFlags, ...next.flags, next.source, '-o', object];
      await run(zig, args, { cwd: native, env });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return done.sort();
}

const env = { ...process.env, ZIG_GLOBAL_CACHE_DIR: join(cache, 'zig'), ZIG_LOCAL_CACHE_DIR: join(cache, 'zig') };

async function build(zig: string, target: Target, sources: string): Promise<void> {
  const objects = join(cache, target.name);
  rmSync(objects, { recursive: true, force: true });
  mkdirSync(objects, { recursive: true });
  const files = await compile(zig, target, objects);
  if (target.platform === 'win32') {
    const library = join(objects, 'node.lib');
    const definitions = join(headers, 'def', 'node_api.def');
    await run(zig, ['dlltool', '-m', 'i386:x86-64', '-d', definitions, '-l', library], { env });
    files.push(library);
  }
  const addon = join(objects, 'tritsmith.node');
  const flags = ['-shared', '-s', '-O3', ...linkFlags[target.platform]];
  await run(zig, ['c++', '-target', target.zig, ...flags, ...files, '-o', addon], { cwd: objects, env });
  const folder = prebuildFolder(target.platform, target.arch);
  mkdirSync(folder, { recursive: true });
  // A running program may have the former one mapped: it keeps it, because the name changes hands.
  rmSync(join(folder, 'sources.sha256'), { force: true });
  renameSync(addon, join(folder, 'tritsmith.node'));
  writeFileSync(join(folder, 'sources.sha256'), `${sources}\n`);
  rmSync(objects, { recursive: true });
}

/** Builds what is missing or older than the sources, and gives the path of each target's addon. */
export async function prebuild(wanted: readonly Target[]): Promise<string[]> {
  const sources = digest(nativeSources());
  const due = wanted.filter(({ platform, arch }) => !isCurrentPrebuild(prebuildFolder(platform, arch), sources));
  if (due.length > 0) {
    const zig = join(await zigFolder(), 'zig');
    for (const target of due) {
      process.stderr.write(`Compiling the addon for ${target.name} (minutes the first time) ...\n`);
      await build(zig, target, sources);
    }
  }
  return wanted.map(({ platform, arch }) => join(prebuildFolder(platform, arch), 'tritsmith.node'));
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  for (const path of await prebuild(names.length === 0 ? targets : names.map(targetNamed)))
    process.stdout.write(`${path}\n`);
}
