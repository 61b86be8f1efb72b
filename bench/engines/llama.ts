/** llama.cpp in a process of its own: `llama.ts <component folder> <gguf> <threads>`. */
import { openInLlamaCpp } from '../../main/evaluation/llama-cpp/index.ts';
import { promptIds, serve } from './protocol.ts';

const bareBytes = process.memoryUsage().rss;
const [component, path, threads] = process.argv.slice(2);
const model = await openInLlamaCpp(component!, path!, { threads: Number(threads), contextLength: 640 });

serve(
  { loadSeconds: model.loadSeconds, bareBytes, detail: `node-llama-cpp, ${model.threads} threads` },
  ({ prompt, decode }) => model.timed(Int32Array.from(promptIds(prompt)), decode),
);
