/** SwiftShader, the software card that comes with Chromium: Vulkan without a card or a driver of the system. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { installDebianPackage } from './debian-package.ts';

/** Of a folder: the driver, what tells of it, and Vulkan's loader. */
const files = ['vk_swiftshader_icd.json', 'libvk_swiftshader.so', 'libvulkan.so.1'] as const;

/** Where Debian's package `chromium-common` and Google's put them. */
const usualFolders = ['/usr/lib/chromium', '/opt/google/chrome'];

/** Those of `folders` with all three files. */
export function foldersWithSwiftShader(folders: readonly string[]): string[] {
  return folders.filter((folder) => files.every((name) => existsSync(join(folder, name))));
}

/** A folder with SwiftShader: that of the browser of the specs, or of an installed package; null where there is none. */
export function findSwiftShader(browser: string | undefined = process.env['TRITSMITH_TEST_BROWSER']): string | null {
  const own = browser !== undefined && existsSync(browser) ? [dirname(realpathSync(browser))] : [];
  return foldersWithSwiftShader([...usualFolders, ...own])[0] ?? null;
}

/** The same; where there is none, Debian's package is installed. Returns why not, line by line, when none can be had. */
export function findOrInstallSwiftShader(tell: (line: string) => void): string | string[] {
  if (process.platform !== 'linux') return ['SwiftShader is used on Linux only.'];
  const found = findSwiftShader();
  if (found !== null) return found;
  const problems = installDebianPackage('chromium-common', tell);
  return findSwiftShader() ?? (problems.length > 0 ? problems : ['chromium-common brought no SwiftShader.']);
}
