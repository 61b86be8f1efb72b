/** The one place that knows where the compiled addon lies, and that loads it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Where the addon of a system may lie, relative to this folder, first choice first: what this machine compiled, then the one that `npm run prebuild`
 * made for the system. (`.ci/launch.mjs` removes a compiled one that is older than the sources where a prebuilt one is not.)
 */
export const addonPlaces = (platform: string = process.platform, arch: string = process.arch): readonly string[] => [
  'build/Release/tritsmith.node',
  `prebuilds/${platform}-${arch}/tritsmith.node`,
];

/** Path of the addon of this system. Throws where there is none. */
export function addonPath(exists: (path: string) => boolean = existsSync): string {
  const paths = addonPlaces().map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = paths.find((path) => exists(path));
  if (found !== undefined) return found;
  throw new Error(
    `The native addon is neither compiled nor prebuilt for ${process.platform}-${process.arch} (looked for ${paths.join(' and ')}).`,
  );
}

const require = createRequire(import.meta.url);

/** What the addon exports; `index.ts` and `runtime.ts` are its typed doors. */
export const addon: unknown = require(addonPath());
