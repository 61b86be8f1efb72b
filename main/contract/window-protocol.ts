/** What the window's shell and the process with its workbench say to each other. Pages' messages pass through as they are. */
import { z } from 'zod';
import { serialisedError } from './jobs.ts';

/** Workers that Electron's main process starts for the workbench: those that answer a question, and those that look at rows or run an exported model. */
export const lentWorker = z.enum(['question', 'row']);
export type LentWorker = z.infer<typeof lentWorker>;

const page = z.int();
const worker = z.int();
const exit = z.object({
  code: z.number().nullable(),
  signal: z.string().nullable(),
  startError: z.string().optional(),
});

/** About workers that are lent, to the workbench. */
export const lentWorkerNews = z.discriminatedUnion('type', [
  z.object({ type: z.literal('worker-said'), worker, message: z.unknown() }),
  z.object({ type: z.literal('worker-exited'), worker, exit, tail: z.string() }),
]);
export type LentWorkerNews = z.infer<typeof lentWorkerNews>;

/** About them, from the workbench. */
export const lentWorkerWish = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start-worker'), worker, kind: lentWorker }),
  z.object({ type: z.literal('tell-worker'), worker, message: z.unknown() }),
  z.object({ type: z.literal('kill-worker'), worker }),
]);
export type LentWorkerWish = z.infer<typeof lentWorkerWish>;

/** To the workbench. */
export const windowMessage = z.union([
  /** The first one. `workspace` absent: the user's own. */
  z.object({ type: z.literal('open'), workspace: z.string().optional() }),
  z.object({ type: z.literal('page-opened'), page }),
  z.object({ type: z.literal('page-said'), page, text: z.string() }),
  z.object({ type: z.literal('page-closed'), page }),
  /** The person chose it in a dialog or dropped it on the window. */
  z.object({ type: z.literal('granted'), path: z.string() }),
  /** The answer to `may-read`. */
  z.object({ type: z.literal('allowed'), question: z.int(), allowed: z.boolean() }),
  /** Pause what runs, save, and end. */
  z.object({ type: z.literal('close') }),
  lentWorkerNews,
]);
export type WindowMessage = z.infer<typeof windowMessage>;

/** From the workbench. */
export const workbenchMessage = z.union([
  /** Its program is loaded; nothing was opened yet. */
  z.object({ type: z.literal('awake') }),
  z.object({ type: z.literal('opened') }),
  /** It could not be opened; the process ends. */
  z.object({ type: z.literal('not-opened'), error: serialisedError }),
  z.object({ type: z.literal('page-said'), page, text: z.string() }),
  z.object({ type: z.literal('may-read'), question: z.int(), path: z.string() }),
  z.object({ type: z.literal('show-in-folder'), path: z.string() }),
  /** Whenever one of them changes. */
  z.object({ type: z.literal('busy'), training: z.boolean(), downloading: z.boolean() }),
  z.object({ type: z.literal('closed') }),
  lentWorkerWish,
]);
export type WorkbenchMessage = z.infer<typeof workbenchMessage>;
