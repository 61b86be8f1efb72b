/** Notices what a parser must not do: touch the prototypes, open files outside its folder. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

const guarded = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Map.prototype] as object[];
const shapeOf = (prototype: object) => JSON.stringify(Reflect.ownKeys(prototype).map(String));

export interface Sentinel {
  /** From now on only files in `folder` may be opened; without a folder, all. */
  watch(folder: string | null): void;
  /** What happened since `watch`; empty when nothing did. */
  offences(): string[];
}

/** Wraps the file functions of this process. Links inside the folder count by their own place. */
export function sentinel(): Sentinel {
  let allowed: string | null = null;
  let outside: string[] = [];
  const seen = (file: unknown) => {
    if (allowed === null || typeof file !== 'string') return;
    const relative = path.relative(allowed, path.resolve(file));
    if (relative.startsWith('..') || path.isAbsolute(relative)) outside.push(file.slice(0, 300));
  };
  const wrap = <T extends object>(holder: T, names: (keyof T)[]) => {
    for (const name of names) {
      const original = holder[name] as (...args: unknown[]) => unknown;
      holder[name] = function (this: unknown, ...args: unknown[]) {
        seen(args[0]);
        return original.apply(this, args);
      } as T[keyof T];
    }
  };
  wrap(fs.promises, ['open', 'readFile', 'readdir', 'writeFile', 'copyFile', 'rm']);
  wrap(fs, ['openSync', 'readFileSync', 'readdirSync', 'createReadStream', 'writeFileSync', 'existsSync', 'rmSync']);
  syncBuiltinESMExports();
  const before = guarded.map(shapeOf);
  return {
    watch(folder) {
      allowed = folder;
      outside = [];
    },
    offences() {
      const changed = guarded.filter((prototype, i) => shapeOf(prototype) !== before[i]);
      for (const prototype of changed) before[guarded.indexOf(prototype)] = shapeOf(prototype);
      return [
        ...[...new Set(outside)].map((file) => `opened ${JSON.stringify(file)}, which is outside its folder`),
        ...changed.map((prototype) => `changed the prototype of ${prototype.constructor.name}`),
      ];
    },
  };
}
