/** The one way in which a shell with an interface ends: what runs is paused with its state saved, then the workspace is given back. */
import { onRequestToEnd } from './requests-to-end.ts';

/** What is ended: the application itself, or the line to the process that holds it. */
export interface ToClose {
  close(): Promise<void>;
  readonly queue: { readonly running: string | null };
}

export interface Closing {
  /** Pauses and closes, once; whoever asks again waits for the same end. */
  end(): Promise<void>;
}

/**
 * Ends the process on the system's polite requests (Ctrl-C, SIGTERM at shutdown, a closed terminal) after `application` is closed and
 * `after` is done. A second request ends it at once: the last checkpoint is what a resume starts from.
 */
export function closeOnRequest(
  application: ToClose,
  options: { say(line: string): void; exit(code: number): void; after?(): Promise<void> },
): Closing {
  let ending: Promise<void> | null = null;
  const end = (): Promise<void> => {
    if (ending !== null) return ending;
    if (application.queue.running !== null)
      options.say('Pausing: saving the state after the current step. Ctrl-C again ends at once.');
    ending = application
      .close()
      .then(() => options.after?.())
      .then(
        () => {
          options.exit(0);
        },
        (thrown: unknown) => {
          options.say(String(thrown));
          options.exit(1);
        },
      );
    return ending;
  };
  onRequestToEnd(() => {
    if (ending !== null) options.exit(1);
    else void end();
  });
  return { end };
}
