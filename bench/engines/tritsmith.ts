/** Our runtime in a process of its own: `tritsmith.ts <gguf> <threads> <layout>`. */
import { loadModel, type LayoutName } from '../../native/runtime.ts';
import { cpuSeconds, promptIds, serve } from './protocol.ts';

function main([path, threads, layout]: string[]): void {
  const bareBytes = process.memoryUsage.rss();
  const model = loadModel(path!, { threads: Number(threads), contextLength: 640, layout: layout as LayoutName });
  const { loadSeconds, bytesPerToken, kernel, layout: used } = model.info;
  serve({ loadSeconds, bareBytes, bytesPerToken, detail: `${kernel}, ${used}` }, ({ prompt, decode }) => {
    model.reset();
    const startedCpu = cpuSeconds();
    const started = performance.now();
    model.prefill(Int32Array.from(promptIds(prompt)));
    let token = model.sample();
    const first = performance.now();
    const firstCpu = cpuSeconds();
    for (let i = 0; i < decode; i++) token = model.decodeNext(token);
    return Promise.resolve({
      prefillSeconds: (first - started) / 1000,
      decodeSeconds: (performance.now() - first) / 1000,
      prefillCpuSeconds: firstCpu - startedCpu,
      decodeCpuSeconds: cpuSeconds() - firstCpu,
    });
  });
}

// The benchmark imports this file too, so that Node's compile cache holds it.
if (import.meta.main) main(process.argv.slice(2));
