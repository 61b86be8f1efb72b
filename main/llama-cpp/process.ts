/** The entry of a process that holds one GGUF file in llama.cpp for client.ts: says `ready` or what is wrong, then answers one request at a time. */
import { TritsmithError } from '../contract/errors.ts';
import { type LlamaCppModel, openInLlamaCpp } from './engine.ts';
import type { LlamaCppReply, LlamaCppRequest } from './protocol.ts';

const say = (reply: LlamaCppReply): void => void process.send?.(reply);

async function answer(model: LlamaCppModel, request: LlamaCppRequest): Promise<unknown> {
  switch (request.type) {
    case 'logits':
      return model.logits(request.ids, request.from);
    case 'branches':
      return model.branches(request.prompt, request.branches);
    case 'greedy':
      return model.greedy(request.ids, request.count);
    case 'timed':
      return model.timed(request.ids, request.count);
    case 'tokenize':
      return model.tokenize(request.text, request.special);
    case 'memory':
      return process.memoryUsage.rss();
    case 'open':
      throw new TritsmithError('internal', 'llama-cpp.holds-a-model');
  }
}

let opened: LlamaCppModel | null = null;
process.on('disconnect', () => process.exit(0));
// A request to end is the workbench's to interpret.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('message', (request: LlamaCppRequest) => {
  void (async () => {
    try {
      if (opened !== null) {
        say({ type: 'answer', answer: await answer(opened, request) });
        return;
      }
      if (request.type !== 'open') throw new TritsmithError('internal', 'llama-cpp.holds-no-model');
      const bareBytes = process.memoryUsage.rss();
      opened = await openInLlamaCpp(request.component, request.path, request.options);
      const { loadSeconds, threads, trainedContext, amx } = opened;
      say({ type: 'ready', loadSeconds, threads, trainedContext, amx, bareBytes });
    } catch (error) {
      say({ type: 'failed', error: TritsmithError.from(error).serialise() });
    }
  })();
});
