/** Asks the process that decodes Parquet (parquet-process.ts), within limits of time and memory. */
import { TritsmithError } from '../../contract/errors.ts';
import { BeyondLimits, isolatedProcess, type IsolatedProcess, type Limits } from '../isolation/isolated-process.ts';
import type { ParquetReply, ParquetRequest } from './parquet-process.ts';

const mostMegabytes = 3072;

/** For something of `bytes` compressed bytes: 1 s of processor time and 1 s per MB, 512 MB and 40 times the size. */
function limitsFor(bytes: number): Limits {
  const size = bytes / 1024 ** 2;
  return { seconds: 1 + size, megabytes: Math.min(mostMegabytes, 512 + 40 * size) };
}

export interface ParquetReader {
  /**
   * @param bytes compressed size of what is asked about; it decides the limits
   * @throws TritsmithError `damaged`, `not-found`, `not-writable`; `bad-input` beyond a limit, after which the reader is of no use
   */
  ask(request: ParquetRequest, bytes: number): Promise<ParquetReply>;
  /** Hands the process back for the next file. */
  release(): void;
}

let idle: IsolatedProcess | undefined;

/** A reader for one user at a time; `file` names the file in errors. Release it when done. */
export function parquetReader(file: string): ParquetReader {
  const reading = idle?.alive ? idle : isolatedProcess(new URL('./parquet-process.ts', import.meta.url), mostMegabytes);
  idle = undefined;
  return {
    async ask(request, bytes) {
      let reply: ParquetReply;
      try {
        reply = (await reading.ask(request, limitsFor(bytes))) as ParquetReply;
      } catch (thrown) {
        if (!(thrown instanceof BeyondLimits)) throw TritsmithError.from(thrown);
        throw new TritsmithError('bad-input', 'parquet.beyond-limits', { file, limit: thrown.message });
      }
      if (reply.error === undefined) return reply;
      const error = TritsmithError.deserialise(reply.error);
      if (error.code !== 'damaged') throw error;
      throw new TritsmithError('damaged', 'parquet.unreadable', { file, reason: error.reason });
    },
    release() {
      if (reading.alive && !idle?.alive) idle = reading;
      else reading.end();
    },
  };
}
