/** One exported model's answer to one input, for the playground: label scores for classification, streamed text for generation. */
import { loadModel } from '../../../native/runtime.ts';
import type { AnswerRequest, RuntimeMessage } from '../../contract/helper-protocol.ts';
import { scoreLabels } from '../task/label-scores.ts';
import { politeThreads } from './polite-threads.ts';
import { answered, streamAnswer } from './generate.ts';
import { runtimeTokenizer } from './runtime-tokenizer.ts';
import { StreamedText } from './streamed-text.ts';
import { longestAnswer } from '../task/label-words.ts';
import { promptTokens, readLabelWords } from '../task/task-data.ts';
import { promptRenderer } from '../task/task-rows.ts';

type Say = (message: RuntimeMessage) => void;

/** @throws TritsmithError or StudentError for a file that is no model, a template that does not compile, a task without labels */
export async function answerOnce(request: AnswerRequest, say: Say): Promise<void> {
  const { task } = request;
  const model = loadModel(request.path, { threads: politeThreads(request.answering) });
  try {
    const { loadSeconds, weightBytes, kernel, vocabularySize, contextLength } = model.info;
    const tokenizer = await runtimeTokenizer(request.tokenizer, vocabularySize);
    const render = await promptRenderer(task);
    const prompt = await render(request.input);
    const longest = Math.min(task.maxLength, contextLength);
    say({ type: 'loaded', seconds: loadSeconds, weightBytes, kernel });
    if (task.kind === 'classification') {
      const labels = await readLabelWords(task, tokenizer, request.seed, request.experiment);
      const ids = promptTokens(tokenizer, prompt, longest, longestAnswer(labels, task.maxNewTokens));
      const started = performance.now();
      const scores = scoreLabels(model, ids, labels, request.temperature);
      say({ type: 'labels', scores });
      const chosen = scores.reduce(
        (best, { probability }, at) => (probability > scores[best]!.probability ? at : best),
        0,
      );
      say({
        type: 'answered',
        promptTokens: ids.length,
        answerTokens: labels.ids[chosen]!.length,
        prefillSeconds: (performance.now() - started) / 1000,
        decodeSeconds: 0,
        residentBytes: model.residentBytes,
      });
    } else {
      const { maxTokens } = request;
      const ids = promptTokens(tokenizer, prompt, longest, maxTokens);
      const found = await streamAnswer(model, tokenizer, ids, { maxTokens }, new StreamedText(tokenizer), (text) => {
        say({ type: 'token', text });
      });
      say(answered(found, model.residentBytes));
    }
  } finally {
    model.close();
  }
}
