/** Entry of `npm run tritsmith`. */
import { forkPort } from '../../jobs/fork-port.ts';
import { runCli } from './program.ts';
import { processShell } from './shell.ts';

// Files of the workbench and its workers are for its user alone.
process.umask(0o077);
// A reader that closes the pipe early (head, say) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
process.exitCode = await runCli(process.argv.slice(2), processShell(forkPort()));
