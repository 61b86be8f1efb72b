/** Where Electron begins. What goes wrong before there is a window ends it with a code that `start.ts` takes for a breakdown, not with a box that waits. */
import * as electron from 'electron';

/** Neither 0 nor 1, which are the app's own ends. */
const brokeDown = 70;

const fail = (thrown: unknown): void => {
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  // Once a window is open its experiments go on; the page shows what does not work.
  if (electron.BrowserWindow.getAllWindows().length === 0) electron.app.exit(brokeDown);
};
process.on('uncaughtException', fail).on('unhandledRejection', fail);
// What the app writes is for its user alone.
process.umask(0o077);

try {
  const { beginWindowShell } = await import('./window-shell.ts');
  beginWindowShell(electron, process.argv.slice(1));
} catch (thrown) {
  fail(thrown);
}
