/** A worker's own end of the line to the workbench. */
import { fromMessageText, toMessageText } from './message-text.ts';
import { type ParentPort, parentPort } from './parent-port.ts';

export interface WorkerChannel {
  /** Resolves when the message has left this process. */
  send(message: unknown): Promise<void>;
  onMessage(listener: (message: unknown) => void): void;
  /** The workbench is gone. */
  onDisconnect(listener: () => void): void;
  /** What is due between the last word and the end of the process. `done`: the command was carried out. */
  beforeExit?(done: boolean): Promise<void>;
}

/** The channel of this process, whichever port started it. Throws when it was started by hand, without a workbench. */
export function openChannel(): WorkerChannel {
  const parent = parentPort();
  if (parent !== undefined) return throughParentPort(parent);
  if (process.send === undefined) throw new Error('A worker is started by the workbench, not by hand.');
  return {
    send: (message) =>
      new Promise((resolve) => {
        // An error here means that the parent is gone; `onDisconnect` deals with that.
        if (process.connected)
          process.send?.(toMessageText(message), undefined, undefined, () => {
            resolve();
          });
        else resolve();
      }),
    onMessage: (listener) => {
      process.on('message', (text) => {
        listener(fromMessageText(text));
      });
    },
    onDisconnect: (listener) => {
      process.once('disconnect', listener);
    },
  };
}

/** In a utility process of Electron. What it posts may be lost when it ends at once, so the other side says what it has (`utility-port.ts`). */
function throughParentPort(parent: ParentPort): WorkerChannel {
  const listeners: ((message: unknown) => void)[] = [];
  const underWay: (() => void)[] = [];
  parent.on('message', ({ data }) => {
    if (data === null) underWay.shift()?.();
    else for (const listener of listeners) listener(fromMessageText(data));
  });
  return {
    send: (message) =>
      new Promise((resolve) => {
        underWay.push(resolve);
        parent.postMessage(toMessageText(message));
      }),
    onMessage: (listener) => {
      listeners.push(listener);
    },
    // Electron ends its utility processes itself when it is gone.
    onDisconnect: () => undefined,
  };
}
