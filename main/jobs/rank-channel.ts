/** The line of a rank to the workbench: mpirun passes standard input to the root alone, and the standard output of every rank on. */
import { createInterface } from 'node:readline';
import type { WorkerChannel } from './channel.ts';
import { fromMessageText, toMessageText } from './message-text.ts';

/** A line with this is a message; others are what libraries print. */
const mark = '\u0002tritsmith ';

export function messageLine(message: unknown): string {
  return `${mark}${toMessageText(message)}\n`;
}

/** The message of a line, and what stands before it. Null for other lines, and for one that another rank's words cut. */
export function messageOfLine(line: string): { message: unknown; before: string } | null {
  const at = line.indexOf(mark);
  if (at < 0) return null;
  try {
    return { message: fromMessageText(line.slice(at + mark.length)), before: line.slice(0, at) };
  } catch {
    return null;
  }
}

/** How long a last word may take to the workbench, which answers by closing the line. */
const farewellMilliseconds = 5000;

/**
 * The channel of the root.
 * @param leave called when the last word has arrived; ends the other ranks too
 */
export function rootChannel(leave: (done: boolean) => void): WorkerChannel {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  let ending = false;
  const closed = new Promise<void>((resolve) => {
    lines.once('close', resolve);
  });
  return {
    send: (message) => write(messageLine(message)),
    onMessage: (listener) => {
      lines.on('line', (line) => {
        const found = messageOfLine(line);
        if (found !== null) listener(found.message);
      });
    },
    onDisconnect: (listener) => {
      void closed.then(() => {
        if (!ending) listener();
      });
    },
    beforeExit: async (done) => {
      ending = true;
      await Promise.race([closed, farewell()]);
      leave(done);
    },
  };
}

/** What a rank that is not the root says before it ends all of them: it failed. */
export async function lastWord(message: unknown): Promise<void> {
  await write(`\n${messageLine(message)}`);
  await farewell();
}

function write(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => {
      resolve();
    });
  });
}

function farewell(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, farewellMilliseconds);
  });
}
