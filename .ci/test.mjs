/** The test command: installs and builds where due, then formatting, lint, rooms, types and all tests, and closes with one line of counts. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, root } from './node.mjs';

const modules = join(root, 'node_modules');
const bin = (...path) => join(modules, ...path);
const kept = (name) => join(modules, '.tritsmith', name);
const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };

function report(name, passed, started, output = '') {
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${output}${passed ? 'ok' : 'FAILED'}: ${name} (${seconds} s)\n`);
  return passed;
}

/** Runs a program on this terminal. */
function step(name, args, program = findNode()) {
  const started = Date.now();
  const child = spawn(program, args, { cwd: root, stdio: 'inherit', env });
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(report(name, false, started, `${String(error)}\n`)));
    child.on('close', (status) => resolve(report(name, status === 0, started)));
  });
}

/** Runs a program beside others: its output comes when it ends. */
function check(name, args) {
  const started = Date.now();
  const child = spawn(findNode(), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((resolve) => {
    child.on('error', (error) => (output += `${String(error)}\n`));
    child.on('close', (status) => resolve(report(name, status === 0, started, output)));
  });
}

/** Where eslint keeps what it found: in another file once any source or package changed, since rules look at the types of other files. */
function lintCache() {
  const folder = kept('lint');
  const hash = createHash('sha256');
  const listed = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' });
  if (listed.status !== 0) return null;
  for (const path of listed.stdout
    .split('\0')
    .filter((name) => /\.(m?[jt]s|vue|json)$/.test(name))
    .sort())
    try {
      hash
        .update(path)
        .update('\0')
        .update(readFileSync(join(root, path)));
    } catch {
      // Deleted, and not yet for git.
    }
  const name = hash.digest('hex').slice(0, 16);
  mkdirSync(folder, { recursive: true });
  for (const old of readdirSync(folder)) if (old !== name) rmSync(join(folder, old), { force: true });
  return join(folder, name);
}

function lint() {
  const cache = lintCache();
  return check('lint (eslint)', [
    bin('eslint', 'bin', 'eslint.js'),
    '.',
    ...(cache === null ? [] : ['--cache', '--cache-strategy', 'content', '--cache-location', cache]),
  ]);
}

/** The checks of the sources besides lint, which takes longer than they together. */
async function checkSources() {
  return [
    await check('formatting (prettier)', [
      bin('prettier', 'bin', 'prettier.cjs'),
      ...['--check', '--log-level', 'warn', '--cache', '--cache-strategy', 'content'],
      ...['--cache-location', kept('prettier'), '.'],
    ]),
    await check('rooms (dependency-cruiser)', [
      bin('dependency-cruiser', 'bin', 'dependency-cruiser.mjs'),
      ...[
        '--config',
        '.dependency-cruiser.mjs',
        'main',
        'native',
        'preload',
        'renderer',
        'bench',
        'e2e',
        '.ci/packaging',
        'resources',
      ],
    ]),
    await check('types (tsc)', [
      bin('typescript', 'bin', 'tsc'),
      ...['--noEmit', '--incremental', '--tsBuildInfoFile', kept('tsc')],
    ]),
    await check('types of the interface (vue-tsc)', [
      bin('vue-tsc', 'bin', 'vue-tsc.js'),
      ...['--noEmit', '-p', 'renderer', '--incremental', '--tsBuildInfoFile', kept('vue-tsc')],
    ]),
  ];
}

/** What a script of ours found or installed, printed as JSON; `problems` where it could not. */
function ask(...path) {
  const { stdout, status } = spawnSync(findNode(), [join(root, ...path)], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  return status === 0 ? JSON.parse(stdout) : { problems: [`${path.join('/')} failed`] };
}

const inLines = (problems) => problems.map((line) => `  ${line}\n`).join('');

/** Which browser the specs use; they are skipped, and that is said, only where none can be had. */
function findBrowser() {
  const found = ask('e2e', 'find-browser.ts');
  if (found.path === undefined)
    process.stdout.write(`NO BROWSER, so its specs are skipped:\n${inLines(found.problems)}`);
  else process.stdout.write(`ok: browser of the specs is ${found.description}\n`);
  return found.path;
}

/** The card of the tests that need one; where it cannot be had and the machine has no driver of its own, they are skipped and say so. */
function findSwiftShader() {
  const found = ask('main', 'testing', 'find-swift-shader.ts');
  if (found.path === undefined)
    process.stdout.write(
      `NO SWIFTSHADER, so tests on a graphics card need a Vulkan driver of this machine:\n${inLines(found.problems)}`,
    );
  else process.stdout.write(`ok: card of the tests is SwiftShader in ${found.path}\n`);
}

if (!(await step('install and build', [join(root, '.ci', 'launch.mjs')], process.execPath))) process.exit(1);

const only = process.argv.slice(2);
const linted = only.length > 0 ? [] : [lint()];
const checked = only.length > 0 ? [] : await checkSources();
const browser = findBrowser();
if (browser !== undefined) env.TRITSMITH_TEST_BROWSER = browser;
if (only.length === 0) env.TRITSMITH_TEST_WHOLE = '1';
if (env.TRITSMITH_TEST_CARD !== 'own') findSwiftShader();
const results = kept('vitest.json');
rmSync(results, { force: true });
const testsRan = await step('tests (vitest)', [
  bin('vitest', 'vitest.mjs'),
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile=${results}`,
  ...only,
]);

const checks = [...checked, ...(await Promise.all(linted))];
let passed = checks.filter(Boolean).length;
let failed = checks.length - passed;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(results, 'utf8'));
  passed += result.numPassedTests;
  // A file that fails to load counts as a failure even when it lists no test.
  failed +=
    result.numFailedTests +
    result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  skipped = result.numPendingTests + (result.numTodoTests ?? 0);
} catch {
  failed += 1;
}
// An error outside of any test, too, must fail the run.
if (!testsRan && failed === 0) failed = 1;
process.stdout.write(
  `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}${browser === undefined ? ' (no browser could be had)' : ''}\n`,
);
process.exit(failed === 0 ? 0 : 1);
