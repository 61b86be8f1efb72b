/** Which files a package holds, and where: decided by their names alone. */
import { nodeBinary, nodePackage, type Target } from './targets.ts';

/** Whether a file of the repository, as a path in it, is part of the program. Its tests and what they need stay here. */
export function isProgramFile(path: string): boolean {
  if (/^resources\/(demo|llama-cpp|webgpu)\//.test(path)) return true;
  if (/\.test\.ts$|\/(fixtures|golden)\/|^main\/testing\//.test(path)) return false;
  return /^main\/.*\.(ts|sql)$/.test(path) || /^native\/(mpi\/)?\w+\.ts$/.test(path);
}

/** Packages that only compile others. */
const building = new Set(['node-addon-api']);

/**
 * Whether a file of `node_modules`, as a path in it, is needed on that system. Left out are other systems' binaries, sources and declarations, what is
 * written about a package (licences are collected apart), and the libraries with which ONNX Runtime would use a graphics card on Windows, which nothing asks it to.
 */
export function isNeededOfPackages(path: string, target: Target): boolean {
  const [, name = '', rest = ''] = /^((?:@[^/]+\/)?[^/]+)\/(.*)$/.exec(path.replace(/^.*\/node_modules\//, '')) ?? [];
  if (name === '' || name.startsWith('.') || building.has(name)) return false;
  // Node has a place of its own.
  if (name === nodePackage(target)) return false;
  if (name === 'onnxruntime-node' && rest.startsWith('bin/')) return isOnnxRuntimeBinary(rest, target);
  if (name === 'better-sqlite3' && rest.startsWith('prebuilds/'))
    return rest === `prebuilds/${target.platform}-${target.arch}.node`;
  if (name === 'better-sqlite3') return /^(lib\/|package\.json$)/.test(rest);
  if (/\.(ts|mts|cts|map|md|markdown|flow|yml|cc|h|gyp|gypi)$/.test(rest)) return false;
  return !/^(test|tests|docs|example|examples|\.github)\//.test(rest) && !isLicence(rest);
}

function isOnnxRuntimeBinary(path: string, { platform, arch }: Target): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  // The dylib lies there twice; the binding asks for this name.
  const wanted = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.1.dylib', win32: 'onnxruntime.dll' }[platform];
  return path.includes(`/${platform}/${arch}/`) && [wanted, 'onnxruntime_binding.node'].includes(name);
}

/** Whether a file at the top of a package says under which terms it may be used. */
export const isLicence = (name: string): boolean =>
  /^(licen[cs]e|copying|notice|thirdpartynotices)[^/]*$/i.test(name) && !/\.([cm]?js|json)$/.test(name);

/** Where things lie in the package; `engine/` holds all that runs. */
export const places = {
  node: (target: Target): string => `engine/${nodeBinary(target)}`,
  addon: ({ platform, arch }: Target): string => `engine/native/prebuilds/${platform}-${arch}/tritsmith.node`,
  manifest: 'engine/package.json',
  program: (path: string): string => `engine/${path.replace(/\.ts$/, '.js')}`,
  packages: (path: string): string => `engine/node_modules/${path}`,
  built: (path: string): string => `engine/out/${path}`,
  licences: (name: string): string => `licences/${name}`,
};

/** The package's own package.json: what the program reads of it, and where Electron begins. */
export function packageManifest(text: string): string {
  const { name, version, license, dependencies } = JSON.parse(text) as Record<string, unknown>;
  const manifest = { name, version, license, private: true, type: 'module', main: 'main/shell/electron/main.js' };
  return `${JSON.stringify({ ...manifest, dependencies }, null, 2)}\n`;
}
