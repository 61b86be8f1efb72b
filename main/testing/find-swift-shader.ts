/** What the test command asks before the tests: prints `{ path }` or `{ problems }` as JSON. */
import { findOrInstallSwiftShader } from './swift-shader.ts';

const found = findOrInstallSwiftShader((line) => process.stderr.write(`${line}\n`));
process.stdout.write(JSON.stringify(typeof found === 'string' ? { path: found } : { problems: found }));
