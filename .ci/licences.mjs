/**
 * `npm run licences`: writes docs/third-party.md, the packages that reach a user with their licences, from the lockfile.
 * What only builds or tests the program is left out; what is bundled into the page counts although npm calls it a development package.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './node.mjs';

/** Development packages that vite puts into the page, and the window's own. */
export const bundled = [
  '@fontsource-variable/inter',
  '@orpc/client',
  'electron',
  'pinia',
  'reka-ui',
  'uplot',
  'vue',
  'vue-router',
];
/** Licences that allow what we do with them, with no more duty than to keep their text. */
export const allowed = [
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'OFL-1.1',
  'Python-2.0',
  'PSF-2.0',
];

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** These packages with all that they need, by default every one that ships: the dependencies and what is bundled. Sorted by name. */
export function shippingPackages(
  names = [...Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }), ...bundled],
) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const found = new Map();
  const visit = (name, from) => {
    for (let place = from; ; place = place.slice(0, Math.max(0, place.lastIndexOf('/node_modules/')))) {
      const path = `${place === '' ? '' : `${place}/`}node_modules/${name}`;
      if (packages[path] !== undefined) {
        if (found.has(path)) return;
        const { version, license, dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } =
          packages[path];
        found.set(path, { name, version, licence: license ?? 'UNKNOWN', path });
        const peers = Object.keys(peerDependencies ?? {}).filter(
          (peer) => peerDependenciesMeta?.[peer]?.optional !== true,
        );
        for (const next of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) visit(next, path);
        return;
      }
      // An optional package of another system may be missing.
      if (place === '') return;
    }
  };
  for (const name of names) visit(name, '');
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version));
}

/** Whether an SPDX expression is fulfilled by the allowed licences. */
export function isAllowed(licence) {
  const parts = licence.replaceAll(/[()]/g, '').split(/ OR /);
  return parts.some((part) => part.split(/ AND /).every((each) => allowed.includes(each.trim())));
}

export function licencesPage() {
  const packages = shippingPackages();
  const counts = Map.groupBy(packages, ({ licence }) => licence);
  const summary = [...counts].map(([licence, all]) => `${licence} (${all.length})`).sort();
  return [
    '# Third-party packages',
    '',
    'Written by `npm run licences` from the lockfile; a test keeps it true. These packages reach a user of Tritsmith; each brings the text of',
    'its licence in its folder under `node_modules/`. Electron also brings Chromium, whose credits are in its `LICENSES.chromium.html`.',
    'What a user fetches on demand is not in the list: llama.cpp (node-llama-cpp, MIT) and WebGPU (the package `webgpu`, MIT, with Dawn, BSD-3-Clause).',
    '',
    `${packages.length} packages: ${summary.join(', ')}.`,
    '',
    '| Package | Version | Licence |',
    '| --- | --- | --- |',
    ...packages.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`),
    '',
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(root, 'docs', 'third-party.md'), licencesPage());
