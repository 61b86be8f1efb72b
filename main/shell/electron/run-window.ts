/** The window's process as its launcher sees it: started, told to end, and ended or broken down. */
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';

/** A window that ends later than this was open. */
const startMilliseconds = 20_000;

export interface WindowEnd {
  readonly code: number;
  /** Why there was no window; null where there was one, or somebody wanted the end before. */
  readonly breakdown: string | null;
}

/**
 * Runs `electron` on this terminal to its end. A request to end that comes to this process alone (SIGTERM) is passed on; Ctrl-C is not, because a terminal sends it to
 * both, and the window would take the second for the wish to lose what runs.
 */
export function runWindow(electron: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<WindowEnd> {
  const begun = performance.now();
  let asked = false;
  const window = spawn(electron, args, { stdio: 'inherit', env });
  const hear = (): void => {
    asked = true;
  };
  const pass = (signal: NodeJS.Signals): void => {
    asked = true;
    window.kill(signal);
  };
  process.on('SIGINT', hear).on('SIGTERM', pass);
  return new Promise<WindowEnd>((resolve) => {
    window.once('error', ({ message }) => {
      resolve({ code: 1, breakdown: message });
    });
    window.once('close', (code, signal) => {
      // The app itself ends with exit code 0 or 1.
      const brokeDown = signal !== null || (code ?? 0) > 1;
      const wasOpen = asked || !brokeDown || performance.now() - begun > startMilliseconds;
      resolve({ code: code ?? 1, breakdown: wasOpen ? null : (signal ?? `exit code ${String(code)}`) });
    });
  }).finally(() => {
    process.off('SIGINT', hear).off('SIGTERM', pass);
  });
}
