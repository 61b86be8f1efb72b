/** `npm run serve`: the workbench for a browser on this machine. Prints a one-time link; Ctrl-C pauses what runs and ends. */
import { parseArgs } from 'node:util';
import { failureText } from '../failure-text.ts';
import { openBrowserShell } from './browser-shell.ts';

// Files of the workbench and its workers are for its user alone.
process.umask(0o077);
const usage = `npm run serve -- [--workspace <folder>] [--port <number>]

Serves the workbench on 127.0.0.1 and prints a link that opens it once. Press Enter for a new link, Ctrl-C to end:
what runs is paused and can be resumed.
`;

const { values } = parseArgs({
  options: { workspace: { type: 'string' }, port: { type: 'string' }, help: { type: 'boolean' } },
});
if (values.help === true) process.stdout.write(usage);
else
  try {
    await openBrowserShell({
      ...(values.workspace === undefined ? {} : { workspace: values.workspace }),
      port: Number(values.port ?? 0),
      present: (link) => {
        process.stdout.write(`Tritsmith is at ${link}\n`);
      },
    });
  } catch (thrown) {
    process.stderr.write(failureText(thrown));
    process.exitCode = 1;
  }
