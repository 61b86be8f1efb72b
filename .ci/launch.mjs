/**
 * Runs a script of this repository on the Node that package.json pins, installing and building first where that is due.
 * `node .ci/launch.mjs <script.ts> [arguments]`; without a script it only installs. Runs on any Node from 20 on.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths)
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** Calls `work` unless the stamp of an earlier call on the same inputs is there. */
function once(name, inputs, products, work) {
  const stamp = join(modules, '.tritsmith', name);
  const now = digest(inputs);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === now && products.every((path) => existsSync(path))) return;
  work();
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, now);
}

once('packages', ['package-lock.json'], [join(modules, '.package-lock.json')], () => {
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

const sources = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.(cc|h|gyp)$/.test(path) && !/^(build|mpi)\b/.test(path))
  .map((path) => join('native', path))
  .sort();
once('native', sources, [join(root, 'native', 'build', 'Release', 'tritsmith.node')], () => {
  // The pinned Node's package brings its own headers, so nothing is downloaded.
  must('Building the native kernel', node, [
    join(modules, 'node-gyp', 'bin', 'node-gyp.js'),
    'rebuild',
    '--directory=native',
    `--nodedir=${nodeHeaders()}`,
    '--jobs=max',
  ]);
});

const [script, ...args] = process.argv.slice(2);
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
