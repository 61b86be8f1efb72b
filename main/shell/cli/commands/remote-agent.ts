import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { serveAgent } from '../../../workbench/remote/agent.ts';

const program = fileURLToPath(new URL('../main.ts', import.meta.url));

/** The other side of `run --on` and `remote`: speaks on standard input and output, to ssh alone. Ends with its connection. */
export function remoteAgentCommand(): Command {
  return new Command('remote-agent')
    .description('answers "tritsmith remote" of another computer; ssh starts it')
    .action(async () => {
      await serveAgent(
        {
          input: process.stdin as AsyncIterable<Uint8Array>,
          write: (bytes) =>
            new Promise((resolve, reject) => {
              process.stdout.write(bytes, (error) => {
                if (error) reject(error);
                else resolve();
              });
            }),
        },
        { program },
      );
      process.stdin.destroy();
    });
}
