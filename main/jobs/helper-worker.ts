/** The entry of the processes that look at single rows or run an exported model: one command, its answers, the end. */
import { TritsmithError } from '../contract/errors.ts';
import { runtimeCommand, type RuntimeCommand, type RuntimeMessage } from '../contract/helper-protocol.ts';
import { openChannel } from './channel.ts';

const channel = openChannel();
const cancelled = new AbortController();
let last = Promise.resolve();
const say = (message: RuntimeMessage): void => {
  last = channel.send(message);
};

async function obey(command: RuntimeCommand): Promise<void> {
  switch (command.type) {
    case 'answer': {
      const { answerOnce } = await import('../pipeline/answer/answer.ts');
      return answerOnce(command.request, say);
    }
    case 'generate': {
      const { generateText } = await import('../pipeline/answer/generate.ts');
      return generateText(command.request, say, cancelled.signal);
    }
    case 'classify': {
      const { classifyTexts } = await import('../pipeline/answer/classify.ts');
      return classifyTexts(command.request, say, cancelled.signal);
    }
    case 'review': {
      const { reviewRows } = await import('../pipeline/answer/review-rows.ts');
      return reviewRows(command.request, say, cancelled.signal);
    }
    case 'benchmark': {
      const { benchmark } = await import('../pipeline/answer/benchmark.ts');
      return benchmark(command.request, say);
    }
    case 'preview': {
      const { previewRows } = await import('../pipeline/task/preview-rows.ts');
      say({ type: 'previewed', ...(await previewRows(command.request, command.survey)) });
      return;
    }
    case 'differences': {
      const { differingRows } = await import('../pipeline/evaluate/differing-rows.ts');
      say({ type: 'compared', answer: await differingRows(command.request) });
      return;
    }
    case 'components':
    case 'install-component':
    case 'remove-component': {
      const { componentCommand } = await import('../pipeline/answer/components.ts');
      return componentCommand(command, say, cancelled.signal);
    }
    case 'cancel':
      cancelled.abort();
  }
}

// A request to end is the workbench's to interpret.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
channel.onDisconnect(() => {
  process.exit(1);
});
channel.onMessage((raw) => {
  void (async () => {
    try {
      const command = runtimeCommand.parse(raw);
      await obey(command);
      if (command.type === 'cancel') return;
      say({ type: 'finished' });
    } catch (thrown) {
      say({ type: 'failed', error: TritsmithError.from(thrown).serialise() });
    }
    await last;
    process.exit(0);
  })();
});
