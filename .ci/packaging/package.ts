/** Puts together the portable archive of one system. */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildPageWhenDue } from '../../main/shell/server/page-build.ts';
import { shippingPackages } from '../licences.mjs';
import { pack } from './archive.ts';
import { isNeededOfPackages, isProgramFile, packageManifest, places } from './contents.ts';
import { toJavaScript } from './javascript.ts';
import { type LicenceText, licenceTexts } from './licences.ts';
import { namesIn, namesOfThisMachine } from './machine-names.ts';
import { installPackages } from './packages.ts';
import { prebuild } from './prebuild.ts';
import { root } from '../node.mjs';
import { startScripts } from './start-scripts.ts';
import { nodeBinary, nodePackage, type Target } from './targets.ts';

/** Files below a folder, as paths in it; none where there is no folder. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** What a package is put together from besides the sources and the built page. */
export interface Ingredients {
  readonly addon: string;
  /** Folder that the target's `node_modules` is in; it may hold more packages than ship. */
  readonly installed: string;
  readonly licences: readonly LicenceText[];
}

/**
 * Lays the program out below `out` as a package holds it, and gives its folder, `tritsmith-<version>-<target>`. The page must be built.
 * @throws Error where a file of the package names this machine
 */
export function layOut(target: Target, out: string, { addon, installed, licences }: Ingredients): string {
  const manifest = readFileSync(join(root, 'package.json'), 'utf8');
  const { version, dependencies } = JSON.parse(manifest) as { version: string; dependencies: Record<string, string> };
  const name = `tritsmith-${version}-${target.name}`;
  const folder = join(out, name);
  process.stderr.write(`Putting ${name} together ...\n`);
  rmSync(folder, { recursive: true, force: true });
  const put = (from: string, to: string): string => {
    const path = join(folder, to);
    mkdirSync(dirname(path), { recursive: true });
    cpSync(from, path, { dereference: true });
    chmodSync(path, 0o644);
    return path;
  };
  const write = (to: string, text: string, executable = false): void => {
    const path = join(folder, to);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, executable ? 0o755 : 0o644);
  };

  const modules = join(installed, 'node_modules');
  const node = join(modules, nodePackage(target), nodeBinary(target));
  chmodSync(put(node, places.node(target)), 0o755);
  put(addon, places.addon(target));
  write(places.manifest, packageManifest(manifest));
  for (const path of ['main', 'native', 'resources'].flatMap((room) =>
    filesIn(join(root, room)).map((file) => `${room}/${file}`),
  )) {
    if (!isProgramFile(path)) continue;
    const to = places.program(path);
    if (path.endsWith('.ts')) write(to, toJavaScript(readFileSync(join(root, path), 'utf8'), path, isShippedHere));
    else put(join(root, path), to);
  }
  // Those that npm leaves out on this system are nowhere.
  for (const { path: packageFolder } of shippingPackages(Object.keys(dependencies)))
    for (const file of filesIn(join(installed, packageFolder))) {
      // A package within a package is in the list itself.
      if (file.includes('node_modules/')) continue;
      const path = join(packageFolder, file).slice('node_modules/'.length);
      if (isNeededOfPackages(path, target)) put(join(modules, path), places.packages(path));
    }
  for (const part of ['renderer', 'preload'])
    for (const path of filesIn(join(root, 'out', part)))
      put(join(root, 'out', part, path), places.built(`${part}/${path}`));
  for (const { name: file, text } of licences) write(places.licences(file), text);
  for (const { path, text, executable } of startScripts(target, version)) write(path, text, executable);

  assertNamesNoMachine(folder);
  return folder;
}

/**
 * Makes `<out>/tritsmith-<version>-<target>.tar.gz` (.zip for Windows) and gives its path; the folder of that name stays beside it. Binaries come from the
 * packages of the lockfile and from `prebuild`. Throws like `layOut`.
 */
export async function makePackage(target: Target, out: string): Promise<string> {
  const [addon] = await prebuild([target]);
  const installed = await installPackages(target, 'shipping');
  buildPageWhenDue((line) => process.stderr.write(line), 'window');
  const folder = layOut(target, out, { addon: addon!, installed, licences: await licenceTexts(target, installed) });
  const archive = `${folder}${target.platform === 'win32' ? '.zip' : '.tar.gz'}`;
  await pack(folder, archive);
  return archive;
}

const isShippedHere = (path: string): boolean => isProgramFile(path) && existsSync(join(root, path));

function assertNamesNoMachine(folder: string): void {
  const names = namesOfThisMachine();
  const telling = filesIn(folder).flatMap((path) =>
    [...namesIn(readFileSync(join(folder, path)), names), ...namesIn(Buffer.from(path), names)].map(
      (found) => `${path} names ${found}`,
    ),
  );
  if (telling.length > 0) throw new Error(`The package would tell where it was built:\n${telling.join('\n')}`);
}
