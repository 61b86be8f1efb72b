/** Conversations: why one of them is left out, and what a chat template lacks. */
import type { Sentences } from '../sentences.ts';

export const chats = {
  'row.chat-unreadable': (): Sentences => ({
    message: 'the conversation is no list of turns with a speaker and a text each',
  }),
  'row.chat-tools': (): Sentences => ({
    message: 'the conversation offers or calls tools, which a student does not learn',
  }),
  'row.chat-media': (): Sentences => ({
    message: 'the conversation has pictures, sound or other parts that are no text',
  }),
  'row.chat-empty-turn': (): Sentences => ({ message: 'a turn of the conversation is empty' }),
  'row.chat-no-answer': (): Sentences => ({ message: "no turn of an assistant comes after a user's" }),
  'template.no-chat': ({ teacher }: { teacher: string }): Sentences => ({
    message: `${teacher} has no chat template.`,
    reason: 'Its folder or file does not say how conversations are written for it, so it is probably no chat model.',
    remedy: 'Use plain prompts, or a model that was tuned for chats (often "Instruct" or "it" in its name).',
  }),
};
