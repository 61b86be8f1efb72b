/** What the test command asks before it runs the specs: prints `{ path, description }` or `{ problems }` as JSON. */
import { findOrInstallBrowser } from './browser.ts';

const found = await findOrInstallBrowser((line) => process.stderr.write(`${line}\n`));
process.stdout.write(JSON.stringify(Array.isArray(found) ? { problems: found } : found));
