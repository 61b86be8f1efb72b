/** Asks a process that decodes files of one kind, within limits of time and memory. */
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import { BeyondLimits, isolatedProcess, type IsolatedProcess, type Limits } from '../isolation/isolated-process.ts';

const mostMegabytes = 3072;

/** What decodes files of one kind. */
export interface ReaderKind {
  readonly entry: URL;
  /** The kind's name in messages. */
  readonly name: 'Parquet' | 'a workbook' | 'SQLite';
  /** For something of `size` megabytes, besides 512 MB. */
  readonly seconds: (size: number) => number;
  readonly megabytes: (size: number) => number;
}

export interface IsolatedReader<Request, Reply> {
  /**
   * @param bytes size of what is asked about; it decides the limits
   * @throws TritsmithError `damaged`, `not-found`, `not-writable`; `bad-input` beyond a limit, after which the reader is of no use
   */
  ask(request: Request, bytes: number): Promise<Reply>;
  /** Hands the process back for the next file. */
  release(): void;
}

const idle = new Map<string, IsolatedProcess>();

/** A reader for one user at a time; `file` names the file in errors. Release it when done. */
export function isolatedReader<Request, Reply extends { readonly error?: SerialisedError }>(
  kind: ReaderKind,
  file: string,
): IsolatedReader<Request, Reply> {
  const waiting = idle.get(kind.name);
  const reading = waiting?.alive ? waiting : isolatedProcess(kind.entry, mostMegabytes);
  idle.delete(kind.name);
  return {
    async ask(request, bytes) {
      const size = bytes / 1024 ** 2;
      const limits: Limits = {
        seconds: kind.seconds(size),
        megabytes: Math.min(mostMegabytes, 512 + kind.megabytes(size)),
      };
      let reply: Reply;
      try {
        reply = (await reading.ask(request, limits)) as Reply;
      } catch (thrown) {
        if (!(thrown instanceof BeyondLimits)) throw TritsmithError.from(thrown);
        throw new TritsmithError('bad-input', 'rows.beyond-limits', { file, kind: kind.name, limit: thrown.message });
      }
      if (reply.error === undefined) return reply;
      const error = TritsmithError.deserialise(reply.error);
      if (error.code !== 'damaged') throw error;
      throw new TritsmithError('damaged', 'rows.unreadable', { file, kind: kind.name, reason: error.reason });
    },
    release() {
      if (reading.alive && !idle.get(kind.name)?.alive) idle.set(kind.name, reading);
      else reading.end();
    },
  };
}

/** What a decoding process answers with where `answer` throws: errors of the library mean that the file is damaged. */
export async function answerOrError<Reply>(
  answer: () => Promise<Reply> | Reply,
): Promise<Reply | { readonly error: SerialisedError }> {
  try {
    return await answer();
  } catch (thrown) {
    const known = thrown instanceof TritsmithError || (thrown as NodeJS.ErrnoException).syscall !== undefined;
    const error = known
      ? TritsmithError.from(thrown)
      : new TritsmithError('damaged', 'rows.damaged', { problem: String((thrown as Error).message).slice(0, 300) });
    return { error: error.serialise() };
  }
}
