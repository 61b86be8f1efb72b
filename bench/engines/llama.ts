/** llama.cpp in a process of its own: `llama.ts <component folder> <gguf> <threads> [flash]`. */
import { openInLlamaCpp } from '../../main/llama-cpp/index.ts';
import { promptIds, serve } from './protocol.ts';

async function main([component, path, threads, attention]: string[]): Promise<void> {
  const bareBytes = process.memoryUsage.rss();
  const model = await openInLlamaCpp(component!, path!, {
    threads: Number(threads),
    contextLength: 640,
    flashAttention: attention === 'flash',
  });
  serve(
    { loadSeconds: model.loadSeconds, bareBytes, detail: `node-llama-cpp, ${model.threads} threads` },
    ({ prompt, decode }) => model.timed(Int32Array.from(promptIds(prompt)), decode),
  );
}

// The benchmark imports this file too, so that Node's compile cache holds it.
if (import.meta.main) await main(process.argv.slice(2));
