/** What a model server says to the programs that ask it, and why one does not start. */
import { bytesInWords } from '../../quantities.ts';
import { firstOf, quoted, type Sentences } from '../sentences.ts';

export const serving = {
  'serving.token-needed': ({ host }: { host: string }): Sentences => ({
    message: `A model is not served on ${host} without a token.`,
    reason: 'Whoever reaches this address could use it.',
    remedy: 'Serve it with a token, or on 127.0.0.1 alone.',
  }),
  'serving.token-short': ({ path, least }: { path: string; least: number }): Sentences => ({
    message: `${path} holds no token that can be used.`,
    reason: `A token is one line of at least ${least} characters without spaces.`,
    remedy: 'Write a longer one into it that nobody can guess.',
  }),
  'serving.host': (): Sentences => ({
    message: 'This address is not served here.',
    reason: 'The request names another host than this machine.',
    remedy: 'Use the address that was printed at the start.',
  }),
  'serving.origin': (): Sentences => ({
    message: 'Requests from web pages are refused.',
    remedy: 'Ask from a program, or from the server of your page.',
  }),
  'serving.token': (): Sentences => ({
    message: 'The token is missing or wrong.',
    remedy: 'Send the header "Authorization: Bearer <token>" with the token that was shown at the start.',
  }),
  'serving.no-path': ({ path }: { path: string }): Sentences => ({
    message: `There is nothing at ${path}.`,
    remedy: 'Ask /v1/models, /v1/chat/completions, /v1/completions, /v1/classify or /health.',
  }),
  'serving.method': ({ path, post }: { path: string; post: boolean }): Sentences => ({
    message: `${path} is asked with ${post ? 'POST' : 'GET'}.`,
  }),
  'serving.not-json': (): Sentences => ({
    message: 'The request is not JSON.',
    remedy: 'Send a JSON object with the header "Content-Type: application/json".',
  }),
  'serving.body-too-long': ({ most }: { most: number }): Sentences => ({
    message: `The request is longer than ${bytesInWords(most)}.`,
    remedy: 'Send less text at once.',
  }),
  'serving.field': ({ field, problem }: { field: string; problem: string }): Sentences => ({
    message: field === '' ? 'The request cannot be used.' : `"${field}" cannot be used.`,
    reason: problem,
  }),
  'serving.unsupported': ({ field }: { field: string }): Sentences => ({
    message: `"${field}" is not supported here.`,
    remedy: 'Leave it out.',
  }),
  'serving.no-model': ({ wanted, name }: { wanted: string; name: string }): Sentences => ({
    message: `The model "${wanted}" is not served here.`,
    remedy: `Ask for "${name}", or leave the field out.`,
  }),
  'serving.queue-full': ({ most }: { most: number }): Sentences => ({
    message: `${most} requests are being answered or wait already.`,
    remedy: 'Try again after the seconds that the header Retry-After says.',
  }),
  'serving.too-slow': ({ seconds }: { seconds: number }): Sentences => ({
    message: `The answer was not ready within ${seconds} seconds, waiting included.`,
    remedy: 'Ask for fewer tokens, or send fewer requests at once.',
  }),
  'serving.ending': (): Sentences => ({
    message: 'The server is ending.',
    remedy: 'Ask again when it was started anew.',
  }),
  'serving.labels-of-another-model': ({ model }: { model: string }): Sentences => ({
    message: `The labels in task.json are not those of ${model}.`,
    reason: 'They have tokens that this model does not know.',
    remedy: 'Use the folder as it was handed over, or ask for a new one.',
  }),
  'serving.context-full': ({
    promptTokens,
    maxTokens,
    contextLength,
  }: {
    promptTokens: number;
    maxTokens: number | null;
    contextLength: number;
  }): Sentences => ({
    message: `Prompt and answer do not fit the model's context of ${contextLength} tokens.`,
    reason: `The prompt has ${promptTokens} tokens${maxTokens === null ? '' : `, the answer may have ${maxTokens}`}.`,
    remedy: 'Shorten the prompt, or ask for fewer tokens.',
  }),
  'serving.one-message': ({ columns }: { columns: readonly string[] }): Sentences => ({
    message: 'This student answers one message of the user.',
    reason:
      columns.length === 1
        ? 'It was trained on single texts of its task, not on chats.'
        : `It was trained on rows of ${columns.length} columns (${quoted(columns)}), not on chats.`,
    remedy:
      columns.length === 1
        ? 'Send the text as the only message, with the role "user".'
        : 'Send the whole prompt to /v1/completions, or the columns to /v1/classify.',
  }),
  'serving.no-chat-template': (): Sentences => ({
    message: 'This model has no chat template.',
    reason: 'Without one, nobody knows how it was taught to read a chat.',
    remedy: 'Send a text to /v1/completions.',
  }),
  'serving.no-task': (): Sentences => ({
    message: 'This model is a file by itself, without a task.',
    remedy: 'Serve the experiment that it belongs to.',
  }),
  'serving.no-labels': (): Sentences => ({
    message: 'This model gives no labels.',
    reason: 'Only the student of a classification, served by its experiment, knows its labels.',
    remedy: 'Send a text to /v1/completions.',
  }),
  'serving.columns': ({ index, columns }: { index: number; columns: readonly string[] }): Sentences => ({
    message: `Text ${index} lacks columns of the task.`,
    reason: `The task reads ${firstOf(
      columns.map((column) => `"${column}"`),
      8,
    )}.`,
    remedy:
      columns.length === 1
        ? 'Send a text, or an object with this column.'
        : 'Send an object with these columns for each text.',
  }),
  'serving.no-text': ({ columns }: { columns: readonly string[] }): Sentences => ({
    message: 'There is no text to read.',
    reason: `${firstOf(
      columns.map((column) => `"${column}"`),
      8,
    )} ${columns.length === 1 ? 'is' : 'are'} empty.`,
    remedy: 'Send at least one word.',
  }),
};
