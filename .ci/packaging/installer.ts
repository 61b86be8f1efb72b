/** Installers around the portable archive's engine, made by electron-builder: what it is told, and what is looked at afterwards. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { appId } from '../../main/shell/electron/app-id.ts';
import { root } from '../node.mjs';
import { writeIcons } from './icons.ts';
import { run } from './run.ts';
import type { Target } from './targets.ts';

/** What Electron allows itself once and for all: no plain Node, no options from outside, no program but the one in the asar. */
export const fuses = {
  runAsNode: false,
  enableCookieEncryption: false,
  enableNodeOptionsEnvironmentVariable: false,
  enableNodeCliInspectArguments: false,
  enableEmbeddedAsarIntegrityValidation: true,
  onlyLoadAppFromAsar: true,
  loadBrowserProcessSpecificV8Snapshot: false,
  grantFileProtocolExtraPrivileges: false,
} as const;

export interface InstallerInputs {
  readonly target: Target;
  /** Folder with package.json and `out/` of the window. */
  readonly app: string;
  /** Folder of the portable archive, unpacked. */
  readonly archive: string;
  /** Folder of Electron's release for the target, unpacked. */
  readonly electron: string;
  readonly electronVersion: string;
  /** Folder with icon.ico, icon.icns, `icons/` and what else belongs to the build. */
  readonly resources: string;
  readonly output: string;
}

/** electron-builder's configuration. Nothing is published, and nothing looks for updates. */
export function builderConfiguration(inputs: InstallerInputs): Record<string, unknown> {
  const { target, app, archive, electron, electronVersion, resources, output } = inputs;
  const engine = ['engine/**', 'licences/**', 'tritsmith', 'tritsmith.cmd'];
  return {
    appId,
    productName: 'Tritsmith',
    copyright: 'Tritsmith, MIT licence',
    artifactName: 'tritsmith-${version}-${os}-${arch}.${ext}',
    electronVersion,
    electronDist: electron,
    npmRebuild: false,
    publish: null,
    asar: true,
    directories: { app, output, buildResources: resources },
    files: ['out/**', 'package.json'],
    // Outside of the asar: the pinned Node cannot read one.
    extraResources: [{ from: archive, to: '.', filter: engine }],
    electronFuses: fuses,
    linux: {
      target: ['deb', 'tar.gz'],
      executableName: 'tritsmith',
      category: 'Science',
      icon: join(resources, 'icons'),
      maintainer: 'Tritsmith',
      synopsis: 'Makes language models small, on your own machine',
    },
    // A deb brings the AppArmor profile of electron-builder's own template, without which Ubuntu 24.04 keeps the sandbox from working.
    win: { target: ['nsis'], icon: join(resources, 'icon.ico') },
    nsis: {
      // Per user, without an administrator, into a folder of choice; experiments stay when the program goes.
      oneClick: false,
      perMachine: false,
      allowElevation: false,
      allowToChangeInstallationDirectory: true,
      deleteAppDataOnUninstall: false,
      differentialPackage: false,
    },
    mac: {
      target: ['dmg'],
      category: 'public.app-category.developer-tools',
      icon: join(resources, 'icon.icns'),
      hardenedRuntime: true,
      gatekeeperAssess: false,
      minimumSystemVersion: '13.5',
      entitlements: join(resources, 'entitlements.plist'),
      entitlementsInherit: join(resources, 'entitlements.plist'),
      ...(target.platform === 'darwin' ? { binaries: machineCode(join(archive, 'engine')) } : {}),
    },
  };
}

/** Programs and libraries below a folder of macOS, as electron-builder wants those to be named that it has to sign. */
function machineCode(engine: string): string[] {
  return readdirSync(engine, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && (/\.(node|dylib)$/.test(entry.name) || entry.name === 'node'))
    .map((entry) => join(entry.parentPath, entry.name).slice(engine.length + 1))
    .map((path) => `Contents/Resources/engine/${path}`)
    .sort();
}

/** Both V8s compile at run time; the engine's Node loads libraries that others signed. */
const entitlements = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
  <dict>
    <key>com.apple.security.cs.allow-jit</key>
    <true/>
    <key>com.apple.security.cs.allow-unsigned-executable-memory</key>
    <true/>
    <key>com.apple.security.cs.disable-library-validation</key>
    <true/>
  </dict>
</plist>
`;

/** The window's own part of the program: what becomes the asar. `homepage`: where it is published, which a deb has to name. */
export function stageApp(folder: string, built: string, manifest: string, homepage?: string): void {
  const { version, license, description } = JSON.parse(manifest) as Record<string, string>;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const own = { name: 'tritsmith', version, license, description, author: 'Tritsmith', private: true };
  const place = { ...(homepage === undefined ? {} : { homepage }), type: 'module', main: 'out/main/main.js' };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ ...own, ...place }, null, 2)}\n`);
  for (const part of ['main', 'preload', 'renderer'])
    cpSync(join(built, part), join(folder, 'out', part), { recursive: true });
}

export function writeResources(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeIcons(join(root, 'renderer', 'public', 'icon.svg'), folder);
  writeFileSync(join(folder, 'entitlements.plist'), entitlements);
}

/** electron-builder from its own lockfile, installed once: nobody else needs its packages. Gives the folder that `node_modules` is in. */
export async function installBuilder(): Promise<string> {
  const own = join(root, '.ci', 'packaging', 'electron-builder');
  const pinned = createHash('sha256')
    .update(readFileSync(join(own, 'package-lock.json')))
    .digest('hex')
    .slice(0, 16);
  const folder = join(root, '.cache', 'packages', `electron-builder-${pinned}`);
  if (existsSync(folder)) return folder;
  process.stderr.write('Installing electron-builder ...\n');
  const draft = `${folder}.${String(process.pid)}.new`;
  cpSync(own, draft, { recursive: true });
  await run('npm', ['ci', '--ignore-scripts', '--loglevel=error', '--prefer-offline', '--no-audit', '--no-fund'], {
    cwd: draft,
  });
  renameSync(draft, folder);
  return folder;
}

const systemOption: Record<Target['platform'], string> = { linux: '--linux', win32: '--win', darwin: '--mac' };

/** Runs electron-builder; with `unpacked` only up to the folder that installers are made of. */
export async function buildInstallers(inputs: InstallerInputs, unpacked: boolean): Promise<void> {
  const builder = await installBuilder();
  const configuration = join(inputs.output, 'builder.json');
  mkdirSync(inputs.output, { recursive: true });
  writeFileSync(configuration, JSON.stringify(builderConfiguration(inputs), null, 2));
  const cli = join(builder, 'node_modules', 'electron-builder', 'cli.js');
  const options = [systemOption[inputs.target.platform], `--${inputs.target.arch}`, '--publish', 'never'];
  await run(
    process.execPath,
    [cli, ...options, ...(unpacked ? ['--dir'] : []), '--projectDir', inputs.app, '--config', configuration],
    // Without a signature of its own, one is not looked for in a keychain.
    { env: { ...process.env, CSC_IDENTITY_AUTO_DISCOVERY: process.env['CSC_LINK'] === undefined ? 'false' : 'true' } },
  );
}

export interface Inspection {
  /** Files of the asar. */
  readonly asar: readonly string[];
  /** The fuses that the binary has, by the names of `fuses`. */
  readonly fuses: Readonly<Record<string, boolean>>;
  /** What is wrong, in words; empty where all is as it should be. */
  readonly problems: readonly string[];
}

/** Looks into the folder that Linux's installers are made of, and compares it with what went in. */
export async function inspectUnpacked(unpacked: string, archive: string): Promise<Inspection> {
  const builder = await installBuilder();
  const ofBuilder = createRequire(join(builder, 'package.json'));
  const { listPackage } = ofBuilder('@electron/asar') as {
    listPackage(path: string, options: { isPack: boolean }): string[];
  };
  const problems: string[] = [];
  const resources = join(unpacked, 'resources');
  const asar = listPackage(join(resources, 'app.asar'), { isPack: false }).map((path) => path.replaceAll('\\', '/'));
  for (const needed of ['/out/main/main.js', '/out/preload/preload.cjs', '/out/renderer/index.html', '/package.json'])
    if (!asar.includes(needed)) problems.push(`The asar lacks ${needed}.`);
  for (const path of asar)
    if (!/^\/(out(\/|$)|package\.json$)/.test(path))
      problems.push(`The asar holds ${path}, which is not the window's.`);

  const wire = await fusesOf(builder, join(unpacked, 'tritsmith'));
  for (const [name, wanted] of Object.entries(fuses))
    if (wire[name] !== wanted) problems.push(`The fuse ${name} is ${String(wire[name])}.`);

  const filesIn = (folder: string): string[] =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      : [];
  for (const part of ['engine', 'licences']) {
    const [before, after] = [filesIn(join(archive, part)), new Set(filesIn(join(resources, part)))];
    if (before.length === 0) problems.push(`The archive has no ${part}.`);
    for (const path of before)
      if (!after.has(path)) problems.push(`${part}/${path} was lost on the way.`);
      else if (!readFileSync(join(archive, part, path)).equals(readFileSync(join(resources, part, path))))
        problems.push(`${part}/${path} was changed on the way.`);
  }
  for (const name of ['LICENSE.electron.txt', 'LICENSES.chromium.html'])
    if (!existsSync(join(unpacked, name))) problems.push(`${name} is missing.`);
  return { asar, fuses: wire, problems };
}

async function fusesOf(builder: string, binary: string): Promise<Record<string, boolean>> {
  const ofBuilder = createRequire(join(builder, 'package.json'));
  const { getCurrentFuseWire, FuseV1Options } = ofBuilder('@electron/fuses') as {
    getCurrentFuseWire(path: string): Promise<Record<number, number>>;
    FuseV1Options: Record<string, number>;
  };
  const wire = await getCurrentFuseWire(binary);
  const numbers: Record<keyof typeof fuses, number> = {
    runAsNode: FuseV1Options['RunAsNode']!,
    enableCookieEncryption: FuseV1Options['EnableCookieEncryption']!,
    enableNodeOptionsEnvironmentVariable: FuseV1Options['EnableNodeOptionsEnvironmentVariable']!,
    enableNodeCliInspectArguments: FuseV1Options['EnableNodeCliInspectArguments']!,
    enableEmbeddedAsarIntegrityValidation: FuseV1Options['EnableEmbeddedAsarIntegrityValidation']!,
    onlyLoadAppFromAsar: FuseV1Options['OnlyLoadAppFromAsar']!,
    loadBrowserProcessSpecificV8Snapshot: FuseV1Options['LoadBrowserProcessSpecificV8Snapshot']!,
    grantFileProtocolExtraPrivileges: FuseV1Options['GrantFileProtocolExtraPrivileges']!,
  };
  // A fuse that is on is written as the digit 1.
  return Object.fromEntries(
    Object.entries(numbers).map(([name, number]) => [name, wire[number] === '1'.charCodeAt(0)]),
  );
}

/** What stands for Electron's release where its binary cannot be had: the files that electron-builder asks for, with a wire of fuses to be set. */
export function writeStandInElectron(folder: string, version: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'resources'), { recursive: true });
  // @electron/fuses finds the wire by this text: a version, a length, then a digit for each fuse.
  const wire = `dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX\x01\x08${'0'.repeat(8)}`;
  writeFileSync(join(folder, 'electron'), `#!/bin/sh\nexit 70\n# ${wire}\n`, { mode: 0o755 });
  writeFileSync(join(folder, 'chrome-sandbox'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(folder, 'version'), version);
  writeFileSync(join(folder, 'LICENSE'), 'A stand-in for the licence of Electron.\n');
  writeFileSync(join(folder, 'LICENSES.chromium.html'), '<p>A stand-in for the licences of Chromium.</p>\n');
}
