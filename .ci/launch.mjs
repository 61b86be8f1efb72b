/**
 * Runs a script of this repository on the Node that package.json pins, installing and building first where that is due.
 * `node .ci/launch.mjs <script.ts> [arguments]`; without a script it only installs. Runs on any Node from 20 on.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { digest, isCurrentPrebuild, nativeSources, prebuildFolder } from './native-sources.mjs';
import { findNode, nodeHeaders, root } from './node.mjs';

const modules = join(root, 'node_modules');
const env = {
  ...process.env,
  ONNXRUNTIME_NODE_INSTALL: 'skip',
  // Every process starts from compiled code: faster, and 23 MiB smaller than with Node's type stripper in it.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(modules, '.tritsmith', 'compiled'),
};

/** Runs a program with its output on standard error, so that `--json` on standard output stays clean. */
function must(what, program, args, options = {}) {
  process.stderr.write(`${what} ...\n`);
  const log = spawnSync(program, args, { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (log.status === 0) return;
  process.stderr.write(`${log.stdout ?? ''}${log.stderr ?? ''}${log.error ? String(log.error) : ''}\n`);
  process.stderr.write(`${what} failed. Its output is above.\n`);
  process.exit(1);
}

const stampOf = (name) => join(modules, '.tritsmith', name);
const isDone = (name, now, product) =>
  existsSync(stampOf(name)) && readFileSync(stampOf(name), 'utf8') === now && existsSync(product);

/** Calls `work` unless the stamp of an earlier call on the same inputs is there. */
function once(name, inputs, product, work) {
  const stamp = stampOf(name);
  const now = digest(inputs);
  if (isDone(name, now, product)) return;
  work();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, now);
}

once('packages', ['package-lock.json'], join(modules, '.package-lock.json'), () => {
  must('Installing packages (about 20 seconds)', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    shell: process.platform === 'win32',
  });
});
const node = findNode();
if (node === null) {
  process.stderr.write(
    `There is no pinned Node for ${process.platform}-${process.arch}, and this one is ${process.version}. Install Node 24 or newer and try again.\n`,
  );
  process.exit(1);
}

/** The addon that was compiled here; else one that was prebuilt from the same sources; else it is compiled now. */
function provideAddon() {
  const compiled = join(root, 'native', 'build', 'Release', 'tritsmith.node');
  const sources = nativeSources();
  if (isDone('native', digest(sources), compiled)) return;
  if (isCurrentPrebuild(prebuildFolder(process.platform, process.arch))) {
    // The compiled one is looked for first (native/addon.ts), and what is left here is of other sources.
    rmSync(compiled, { force: true });
    return;
  }
  if (process.platform === 'win32') {
    process.stderr.write(
      `The kernels cannot be compiled on Windows. Use the portable archive (README.md), or put an addon that "npm run prebuild" made on Linux into ${prebuildFolder(process.platform, process.arch)}.\n`,
    );
    process.exit(1);
  }
  once('native', sources, compiled, () => {
    // The pinned Node's package brings its own headers, so nothing is downloaded.
    must('Building the native kernel', node, [
      join(modules, 'node-gyp', 'bin', 'node-gyp.js'),
      'rebuild',
      '--directory=native',
      `--nodedir=${nodeHeaders()}`,
      '--jobs=max',
    ]);
  });
}

const [script, ...args] = process.argv.slice(2);
// What makes addons for others does not need one itself.
if (script !== '.ci/packaging/prebuild.ts') provideAddon();
if (script !== undefined) {
  const child = spawn(node, [join(root, script), ...args], {
    stdio: 'inherit',
    env,
    cwd: process.env.INIT_CWD ?? root,
  });
  // A terminal sends Ctrl-C to the script itself, which pauses and saves; the launcher waits for it.
  process.on('SIGINT', () => undefined);
  // These may come to the launcher alone; where the script hears them too, it takes the second for an echo.
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code) => process.exit(code ?? 1));
}
