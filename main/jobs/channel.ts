/** A worker's own end of the line to the workbench, for a forked Node and for an Electron utility process. */

export interface WorkerChannel {
  /** Resolves when the message has left this process. */
  send(message: unknown): Promise<void>;
  onMessage(listener: (message: unknown) => void): void;
  /** The workbench is gone. */
  onDisconnect(listener: () => void): void;
}

/** What Electron gives a utility process as `process.parentPort`; Chromium ends the process itself when its parent dies. */
interface ParentPort {
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
  postMessage(message: unknown): void;
}

/** The channel of this process. Throws when it was started by hand, without a workbench. */
export function openChannel(): WorkerChannel {
  const parentPort = (process as { parentPort?: ParentPort }).parentPort;
  if (parentPort !== undefined)
    return {
      send: (message) => {
        parentPort.postMessage(message);
        return Promise.resolve();
      },
      onMessage: (listener) => {
        parentPort.on('message', (event) => {
          listener(event.data);
        });
      },
      onDisconnect: () => undefined,
    };
  if (process.send === undefined) throw new Error('A worker is started by the workbench, not by hand.');
  return {
    send: (message) =>
      new Promise((resolve) => {
        // An error here means that the parent is gone; `onDisconnect` deals with that.
        if (process.connected)
          process.send?.(message, undefined, undefined, () => {
            resolve();
          });
        else resolve();
      }),
    onMessage: (listener) => {
      process.on('message', listener);
    },
    onDisconnect: (listener) => {
      process.once('disconnect', listener);
    },
  };
}
