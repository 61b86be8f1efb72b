import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'electron-vite';
import { resolve } from 'node:path';
import { normalizePath, type Plugin } from 'vite';

const root = import.meta.dirname;

/**
 * The code of a bundled module with its `import.meta.url` as that of its source in `checkout`, seen from the bundle's own folder; null where there is nothing
 * to change. `id`: as vite has it, with forward slashes on Windows too.
 */
export function atItsSource(code: string, id: string, checkout: string): string | null {
  const [path] = id.split('?');
  const base = normalizePath(checkout);
  // The checkout itself may lie below a node_modules.
  const inside = path!.startsWith(`${base}/`) ? path!.slice(base.length) : '/node_modules/';
  if (inside.includes('/node_modules/') || !code.includes('import.meta.url')) return null;
  return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(`../..${inside}`)}, import.meta.url).href`);
}

/** The bundled main process finds its files (migrations, workers, the demo) where its sources lie. */
function sourceLocations(): Plugin {
  return {
    name: 'source-locations',
    enforce: 'pre',
    transform(code, id) {
      const moved = atItsSource(code, id, root);
      return moved === null ? null : { code: moved, map: null };
    },
  };
}

export default defineConfig({
  main: {
    plugins: [sourceLocations()],
    build: {
      outDir: 'out/main',
      lib: { entry: resolve(root, 'main/shell/electron/main.ts'), formats: ['es'] },
      rollupOptions: { output: { entryFileNames: 'main.js' } },
    },
  },
  preload: {
    build: {
      outDir: 'out/preload',
      lib: { entry: resolve(root, 'preload/preload.ts'), formats: ['cjs'] },
      rollupOptions: { output: { entryFileNames: 'preload.cjs' } },
    },
  },
  renderer: {
    root: resolve(root, 'renderer'),
    plugins: [vue()],
    build: {
      outDir: resolve(root, 'out/renderer'),
      emptyOutDir: true,
      modulePreload: { polyfill: false },
      minify: true,
      rollupOptions: { input: resolve(root, 'renderer/index.html') },
    },
  },
});
