/** Sends a dropped file to the workbench's own folder; only browsers need it, Electron knows the path. */
import type { Problem } from './client.ts';
import { inWordsOfThePage } from './message-names.ts';
import { sessionHeaders } from './session.ts';

/** Returns the path that the workbench gave it. Throws an error with the workbench's words. */
export async function upload(file: File): Promise<string> {
  const response = await fetch(`/upload?name=${encodeURIComponent(file.name)}`, {
    method: 'POST',
    headers: sessionHeaders(),
    body: file,
  });
  const answer = (await response.json()) as { path?: string } & Partial<Problem>;
  if (answer.path !== undefined) return answer.path;
  const { message, remedy } = inWordsOfThePage({ message: '', ...answer });
  throw new Error([message, remedy].filter((part) => part !== undefined).join(' '));
}
