/** Asks the process that reads HTML, PDF and Word files (document-process.ts), within limits of time and memory. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { BeyondLimits, isolatedProcess, type IsolatedProcess, type Limits } from '../isolation/isolated-process.ts';
import type { CorpusFile } from './corpus-files.ts';
import type { DocumentReply } from './document-process.ts';

const mostMegabytes = 3072;

/** For a file of `bytes`: 5 s of processor time and 2 s per MB, at most 3 minutes; 512 MB and 40 times the size. */
function limitsFor(bytes: number): Limits {
  const size = bytes / 1024 ** 2;
  return { seconds: Math.min(180, 5 + 2 * size), megabytes: Math.min(mostMegabytes, 512 + 40 * size) };
}

let reader: IsolatedProcess | undefined;
/** The process answers one question at a time. */
let last: Promise<unknown> = Promise.resolve();

async function ask(file: CorpusFile): Promise<string> {
  const { size } = await stat(file.path);
  if (reader?.alive !== true)
    reader = isolatedProcess(new URL('./document-process.ts', import.meta.url), mostMegabytes);
  let reply: DocumentReply;
  try {
    reply = (await reader.ask(file, limitsFor(size))) as DocumentReply;
  } catch (thrown) {
    if (!(thrown instanceof BeyondLimits)) throw TritsmithError.from(thrown);
    throw new TritsmithError('bad-input', 'corpus.document-beyond-limits', { file: file.path, limit: thrown.message });
  }
  if (reply.error !== undefined) throw TritsmithError.deserialise(reply.error);
  if (!/\S/.test(reply.text!)) throw new TritsmithError('bad-input', 'corpus.document-empty', { file: file.path });
  return reply.text!;
}

/**
 * The text of an HTML, PDF or Word file.
 * @throws TritsmithError `not-found`, `not-writable`, `damaged`; `bad-input` (no text in it, or more time or memory than its size justifies)
 */
export function documentText(file: CorpusFile): Promise<string> {
  const text = last.then(() => ask(file));
  last = text.catch(() => undefined);
  return text;
}
