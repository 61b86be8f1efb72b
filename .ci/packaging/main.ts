/** `npm run package -- --platform <name> [--out <folder>]`: makes the portable archive of a system. */
import { mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { sha256 } from './archive.ts';
import { makePackage } from './package.ts';
import { root } from '../node.mjs';
import { targetNamed, targets } from './targets.ts';

const { values } = parseArgs({
  options: { platform: { type: 'string', multiple: true }, out: { type: 'string' } },
});
const out = values.out === undefined ? join(root, 'dist') : resolve(values.out);
if (values.platform === undefined) {
  process.stderr.write(`Name a system with --platform: ${targets.map(({ name }) => name).join(', ')}.\n`);
  process.exitCode = 1;
} else {
  mkdirSync(out, { recursive: true });
  for (const target of values.platform.map(targetNamed)) {
    const path = await makePackage(target, out);
    process.stdout.write(`${await sha256(path)}  ${path}  ${(statSync(path).size / 1e6).toFixed(0)} MB\n`);
  }
}
