/** An exported model that stays in memory and answers many requests at once: what a model server asks. */
import { loadModel, type ModelInformation, type StudentModel } from '../../../native/runtime.ts';
import { freeMemory } from '../../basics/free-memory.ts';
import type { DeployedTask } from '../../contract/deployed-task.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type {
  ModelToServe,
  ScoreRequest,
  Scored,
  ServedFacts,
  WriteRequest,
  Written,
} from '../../contract/serving-protocol.ts';
import { compileChatTemplate, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelCompanions } from '../../models/open-model.ts';
import { cutInTheMiddle } from '../task/evaluation-rows.ts';
import { type LabelWords, longestAnswer } from '../task/label-words.ts';
import { readLabelWords } from '../task/task-data.ts';
import { hasText, promptRenderer } from '../task/task-rows.ts';
import { Batch } from './batch.ts';
import { streamAnswer } from './generate.ts';
import { runtimeTokenizer } from './runtime-tokenizer.ts';
import { StreamedText } from './streamed-text.ts';

export interface ResidentModel {
  readonly facts: ServedFacts;
  /**
   * Tells the answer piece by piece. A request gives the same answer whatever was asked before and is computed beside it.
   * @throws TritsmithError `bad-input`: an empty prompt, one that the context does not hold, a chat that the model cannot be given
   */
  write(request: WriteRequest, tell: (text: string) => void, signal: AbortSignal): Promise<Written>;
  /**
   * Scores of the task's labels, as the evaluation computes them.
   * @throws TritsmithError `bad-input` for another task, for no text; `stopped` where it was cancelled
   */
  score(request: ScoreRequest, signal: AbortSignal): Promise<Scored>;
  close(): void;
}

/** More of them make every answer slower and gain little: a tile holds the tokens of so many and leaves room for prompts. */
const mostConversations = 32;

/** As many as half of the memory that is free holds at their longest, at least one. */
function conversationsThatFit({ contextLength, cacheBytesPerToken }: ModelInformation): number {
  const fit = Math.floor(freeMemory() / 2 / (contextLength * cacheBytesPerToken));
  return Math.max(1, Math.min(mostConversations, fit));
}

type Prompt = (prompt: WriteRequest['prompt']) => Promise<Int32Array>;

/** Keys and values of a classification stay in float32, so that scores are those of `tritsmith classify`. @throws TritsmithError, StudentError */
export async function openResident({
  path,
  tokenizer: source,
  task,
  threads,
  contextLength,
  conversations,
}: ModelToServe): Promise<ResidentModel> {
  const model = loadModel(path, {
    threads,
    kvType: task !== null && settingsOf(task).kind === 'classification' ? 'f32' : 'f16',
    ...(contextLength === undefined ? {} : { contextLength }),
  });
  try {
    return await resident(model, source, task, conversations ?? conversationsThatFit(model.info));
  } catch (thrown) {
    model.close();
    throw thrown;
  }
}

type TaskToServe = NonNullable<ModelToServe['task']>;

const settingsOf = (task: TaskToServe): DeployedTask['task'] =>
  'deployed' in task ? task.deployed.task : task.settings;

/** Null for a task whose answers are written. @throws TritsmithError `damaged` for tokens that the model does not have; as `readLabelWords` */
async function labelsOf(task: TaskToServe, tokenizer: Tokenizer, vocabularySize: number): Promise<LabelWords | null> {
  if (settingsOf(task).kind !== 'classification') return null;
  if (!('deployed' in task)) return readLabelWords(task.settings, tokenizer, task.seed, task.experiment);
  const labels = task.deployed.labels ?? [];
  const ids = labels.map(({ tokens }) => Int32Array.from(tokens));
  if (ids.length === 0 || ids.some((answer) => answer.some((id) => id >= vocabularySize)))
    throw new TritsmithError('damaged', 'serving.labels-of-another-model', { model: task.deployed.model });
  return {
    classes: labels.map(({ label }) => label),
    words: labels.map(({ words }) => words),
    ids,
    singleToken: ids.every(({ length }) => length === 1),
  };
}

async function resident(
  model: StudentModel,
  source: string,
  task: ModelToServe['task'],
  conversations: number,
): Promise<ResidentModel> {
  const { info } = model;
  const batch = new Batch(model);
  const tokenizer = await runtimeTokenizer(source, info.vocabularySize);
  const stopTokens = await endTokens(source, tokenizer);
  const settings = task === null ? null : settingsOf(task);
  const render = settings === null ? null : await promptRenderer(settings);
  const labels = task === null ? null : await labelsOf(task, tokenizer, info.vocabularySize);
  const temperature = task === null ? undefined : 'deployed' in task ? task.deployed.temperature : task.temperature;
  const reserved = settings === null ? 0 : longestAnswer(labels, settings.maxNewTokens);
  const longest = Math.min(settings?.maxLength ?? info.contextLength, info.contextLength);
  /** Tokens of a row of the task, cut as in training. */
  const rowTokens = async (input: Readonly<Record<string, string>>): Promise<{ ids: Int32Array; cut: boolean }> => {
    if (settings === null || render === null) throw new TritsmithError('bad-input', 'serving.no-task');
    if (!hasText(input, settings.textColumns))
      throw new TritsmithError('bad-input', 'serving.no-text', { columns: settings.textColumns });
    const whole = tokenizer.encode(await render(input));
    const ids = cutInTheMiddle(whole, Math.max(1, longest - reserved));
    return { ids, cut: ids.length < whole.length };
  };
  const template = settings === null ? await compileChatTemplate(tokenizer) : null;
  const promptOf: Prompt = async (prompt) => {
    if (typeof prompt === 'string') return Int32Array.from(tokenizer.encode(prompt));
    if (settings !== null) {
      const [message] = prompt;
      const [column] = settings.textColumns;
      if (prompt.length !== 1 || message?.role !== 'user' || settings.textColumns.length !== 1 || column === undefined)
        throw new TritsmithError('bad-input', 'serving.one-message', { columns: settings.textColumns });
      return (await rowTokens({ [column]: message.content })).ids;
    }
    if (template === null) throw new TritsmithError('bad-input', 'serving.no-chat-template');
    return Int32Array.from(tokenizer.encode(await template(prompt), { addSpecialTokens: false }));
  };
  return {
    facts: {
      contextLength: info.contextLength,
      conversations,
      mostCacheBytes: conversations * info.contextLength * info.cacheBytesPerToken,
      weightBytes: info.weightBytes,
      kernel: info.kernel,
      loadSeconds: info.loadSeconds,
      textColumns: settings?.textColumns ?? [],
      labels: labels === null ? null : [...labels.classes],
      chat: settings !== null ? 'task' : template === null ? 'none' : 'template',
    },
    write: async ({ id, prompt, maxTokens, temperature, topP, stop, seed }, tell, signal) => {
      const ids = await promptOf(prompt);
      if (ids.length === 0) throw new TritsmithError('bad-input', 'prompt.empty');
      const room = info.contextLength - ids.length;
      if (room < 1 || (maxTokens !== null && maxTokens > room + 1))
        throw new TritsmithError('bad-input', 'serving.context-full', {
          promptTokens: ids.length,
          maxTokens,
          contextLength: info.contextLength,
        });
      // Prompt and answer of a task are joined by a space, which is none of the answer's.
      const joined = settings !== null && typeof prompt !== 'string';
      let begun = !joined;
      const say = (piece: string): void => {
        const text = begun ? piece : piece.trimStart();
        begun ||= text !== '';
        if (text !== '') tell(text);
      };
      // The last token need not go into the cache.
      const most = Math.min(typeof prompt === 'string' || settings === null ? Infinity : reserved, room + 1);
      const options = { maxTokens: maxTokens ?? most, temperature, topP, seed, stopTokens, signal };
      const text = new StreamedText(tokenizer, stop, ids);
      const { tokens, reason } = await streamAnswer(batch, tokenizer, ids, options, text, say);
      return {
        type: 'written',
        id,
        promptTokens: ids.length,
        answerTokens: tokens.length,
        reason: reason === 'context' ? 'length' : reason,
      };
    },
    score: async ({ id, input }, signal) => {
      if (labels === null) throw new TritsmithError('bad-input', 'serving.no-labels');
      const { ids, cut } = await rowTokens(input);
      const scores = await batch.score(ids, labels, temperature, signal);
      if (scores === null) throw new TritsmithError('stopped', 'serving.ending');
      return { type: 'scored', id, promptTokens: ids.length, shortened: cut, scores };
    },
    close: () => {
      model.close();
    },
  };
}

/** Tokens that end an answer: those of generation_config.json, such as the end of a chat's turn. */
async function endTokens(source: string, tokenizer: Tokenizer): Promise<number[]> {
  const companions = await modelCompanions(source);
  if (!companions.names.has('generation_config.json')) return [];
  const { eos_token_id: ids } = await companions.settings('generation_config.json');
  return [ids].flat().filter((id): id is number => typeof id === 'number' && tokenizer.idToToken(id) !== null);
}
