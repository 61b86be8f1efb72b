/** What comes from PyPI, by pip, with the digests of a requirements file. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../node.mjs';
import { run } from './run.ts';

/** Folder with what `.ci/packaging/pip-<name>.txt` names, unpacked; what was fetched for the same file before is taken as it is. */
async function fetched(name: string, command: readonly string[], folderOption: string): Promise<string> {
  const requirements = join(root, '.ci', 'packaging', `pip-${name}.txt`);
  const pinned = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const folder = join(root, '.cache', `pip-${name}-${pinned}`);
  if (existsSync(folder)) return folder;
  process.stderr.write(`Fetching ${name} with pip (once) ...\n`);
  const draft = `${folder}.${String(process.pid)}.new`;
  const options = ['--no-deps', '--require-hashes', '--only-binary', ':all:', '--quiet', '--disable-pip-version-check'];
  await run('python3', ['-m', 'pip', ...command, ...options, folderOption, draft, '--requirement', requirements]);
  renameSync(draft, folder);
  return folder;
}

/** Folder of zig's package: the program, its C libraries and their licences. */
export const zigFolder = async (): Promise<string> =>
  join(await fetched('zig', ['install', '--no-compile'], '--target'), 'ziglang');

/** Folder with the one wheel of ONNX Runtime for Python. */
export const onnxRuntimeWheel = (): Promise<string> =>
  fetched('notices', ['download', '--platform', 'manylinux_2_28_x86_64', '--python-version', '312'], '--dest');
