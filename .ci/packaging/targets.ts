/** The systems that a package is made for, and what each of them is called by those who take part. */
import { nodePackages } from '../node.mjs';

export interface Target {
  /** As people name it: `--platform win-x64`. */
  readonly name: string;
  /** As Node and npm name it. */
  readonly platform: 'linux' | 'win32' | 'darwin';
  readonly arch: 'x64' | 'arm64';
  /** As zig names it, with the oldest system that it runs on: ONNX Runtime's glibc, the macOS of binding.gyp. */
  readonly zig: string;
}

export const targets: readonly Target[] = [
  { name: 'linux-x64', platform: 'linux', arch: 'x64', zig: 'x86_64-linux-gnu.2.28' },
  { name: 'linux-arm64', platform: 'linux', arch: 'arm64', zig: 'aarch64-linux-gnu.2.28' },
  { name: 'win-x64', platform: 'win32', arch: 'x64', zig: 'x86_64-windows-gnu' },
  { name: 'darwin-arm64', platform: 'darwin', arch: 'arm64', zig: 'aarch64-macos.11.0' },
];

/** The target of that name. Throws an Error that lists them. */
export function targetNamed(name: string): Target {
  const found = targets.find((target) => target.name === name);
  if (found !== undefined) return found;
  throw new Error(`There is no platform ${name}. There are ${targets.map((target) => target.name).join(', ')}.`);
}

/** The package of the lockfile that brings the target's Node. */
export const nodePackage = ({ platform, arch }: Target): string => nodePackages[`${platform}-${arch}`]!;

/** Where the binary lies in that package. */
export const nodeBinary = ({ platform }: Target): string => (platform === 'win32' ? 'bin/node.exe' : 'bin/node');
