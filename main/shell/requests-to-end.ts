/** What asks a shell to end: Ctrl-C, a service manager, a closed terminal; however often one request arrives, it is one. */
import { performance } from 'node:perf_hooks';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A process group, `timeout`, a service manager and our launcher each pass a request on: what comes within this time is its echo. */
const echoMilliseconds = 1000;

/** Calls `listener` on each request, echoes left out, until the returned function is called. */
export function onRequestToEnd(listener: () => void): () => void {
  let echoesUntil = -Infinity;
  let released = false;
  const hear = (): void => {
    if (released || performance.now() < echoesUntil) return;
    listener();
    // Counted from here: an echo waits while the listener works.
    echoesUntil = performance.now() + echoMilliseconds;
  };
  const forget = (): void => {
    for (const signal of signals) process.off(signal, hear);
  };
  for (const signal of signals) process.on(signal, hear);
  return () => {
    released = true;
    const rest = echoesUntil - performance.now();
    // Nobody hears a late echo by then, and the system would end the process on it.
    if (rest > 0) setTimeout(forget, rest).unref();
    else forget();
  };
}
