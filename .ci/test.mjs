/** The test command: installs and builds where due, then formatting, lint, types and all tests, and closes with one line of counts. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, root } from './node.mjs';

const bin = (...path) => join(root, 'node_modules', ...path);
const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' } };

function step(name, args, program = findNode()) {
  const started = Date.now();
  const { status } = spawnSync(program, args, options);
  process.stdout.write(
    `${status === 0 ? 'ok' : 'FAILED'}: ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  return status === 0;
}

/** Which browser the specs use; they are skipped, and that is said, only where none can be had. */
function findBrowser() {
  const { stdout, status } = spawnSync(findNode(), [join(root, 'e2e', 'find-browser.ts')], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  const found = status === 0 ? JSON.parse(stdout) : { problems: ['e2e/find-browser.ts failed'] };
  if (found.path === undefined)
    process.stdout.write(
      `NO BROWSER, so its specs are skipped:\n${found.problems.map((line) => `  ${line}\n`).join('')}`,
    );
  else process.stdout.write(`ok: browser of the specs is ${found.description}\n`);
  return found.path;
}

if (!step('install and build', [join(root, '.ci', 'launch.mjs')], process.execPath)) process.exit(1);

const only = process.argv.slice(2);
const checks =
  only.length > 0
    ? []
    : [
        step('formatting (prettier)', [bin('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level', 'warn', '.']),
        step('lint (eslint, layer rule)', [bin('eslint', 'bin', 'eslint.js'), '.']),
        step('types (tsc)', [bin('typescript', 'bin', 'tsc'), '--noEmit']),
        step('types of the interface (vue-tsc)', [bin('vue-tsc', 'bin', 'vue-tsc.js'), '--noEmit', '-p', 'renderer']),
      ];
const browser = findBrowser();
const report = join(root, 'node_modules', '.tritsmith', 'vitest.json');
rmSync(report, { force: true });
if (browser !== undefined) options.env.TRITSMITH_TEST_BROWSER = browser;
const testsRan = step('tests (vitest)', [
  bin('vitest', 'vitest.mjs'),
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile=${report}`,
  ...only,
]);

let passed = checks.filter(Boolean).length;
let failed = checks.length - passed;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
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
