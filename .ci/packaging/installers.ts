/**
 * `npm run installers -- --platform <name> --electron <folder> [--homepage <address>] [--out <folder>]`: makes the installers of a system around the engine of its
 * portable archive.
 * `--stand-in` instead of Electron makes the folder that they would be made of, and looks into it (Linux).
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../node.mjs';
import { buildInstallers, inspectUnpacked, stageApp, writeResources, writeStandInElectron } from './installer.ts';
import { makePackage } from './package.ts';
import { targetNamed } from './targets.ts';

// Whoever uses what is installed is another user than who made it.
process.umask(0o022);
const { values } = parseArgs({
  options: {
    platform: { type: 'string' },
    electron: { type: 'string' },
    homepage: { type: 'string' },
    out: { type: 'string' },
    'stand-in': { type: 'boolean' },
  },
});
const standIn = values['stand-in'] === true;
if (values.platform === undefined || (values.electron === undefined) !== standIn) {
  process.stderr.write(
    'Name a system with --platform, and a folder with Electron for it with --electron (docs/release.md); or --stand-in.\n',
  );
  process.exit(1);
}
const target = targetNamed(values.platform);
if (target.platform === 'linux' && !standIn && !/^https:\/\//.test(values.homepage ?? '')) {
  process.stderr.write('A deb names where its program is published: say so with --homepage https://….\n');
  process.exit(1);
}
const out = values.out === undefined ? join(root, 'dist') : resolve(values.out);
mkdirSync(out, { recursive: true });
const archive = (await makePackage(target, out)).replace(/\.(tar\.gz|zip)$/, '');
const manifest = readFileSync(join(root, 'package.json'), 'utf8');
const { devDependencies } = JSON.parse(manifest) as { devDependencies: { electron: string } };
const output = join(out, `installers-${target.name}`);
const inputs = {
  target,
  archive,
  output,
  app: join(output, 'app'),
  resources: join(output, 'build'),
  electron: values.electron === undefined ? join(output, 'electron') : resolve(values.electron),
  electronVersion: devDependencies.electron,
};
stageApp(inputs.app, join(root, 'out'), manifest, values.homepage);
writeResources(inputs.resources);
if (standIn) writeStandInElectron(inputs.electron, inputs.electronVersion);
process.stderr.write('Running electron-builder ...\n');
await buildInstallers(inputs, standIn);
if (target.platform === 'linux') {
  const { asar, problems } = await inspectUnpacked(join(output, 'linux-unpacked'), archive);
  for (const problem of problems.slice(0, 20)) process.stderr.write(`${problem}\n`);
  if (problems.length > 0) process.exit(1);
  process.stdout.write(`${String(asar.length)} entries in the asar, the engine as in the archive, fuses as wanted.\n`);
}
process.stdout.write(`${output}\n`);
