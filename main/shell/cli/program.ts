/** The command line: one file a command, put together here. */
import { Command, CommanderError } from 'commander';
import { programVersions } from '../../workbench/machine/machine.ts';
import { asCalled } from './called.ts';
import { benchmarkCommand } from './commands/benchmark.ts';
import { classifyCommand } from './commands/classify.ts';
import { compareCommand } from './commands/compare.ts';
import { componentsCommand } from './commands/components.ts';
import { convertCommand } from './commands/convert.ts';
import { corpusCommand } from './commands/corpus.ts';
import { demoCommand } from './commands/demo.ts';
import { deployCommand } from './commands/deploy.ts';
import { doctorCommand } from './commands/doctor.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { exportCommand } from './commands/export.ts';
import { generateCommand } from './commands/generate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { listCommand } from './commands/list.ts';
import { remoteCommand } from './commands/remote.ts';
import { remoteAgentCommand } from './commands/remote-agent.ts';
import { reportCommand } from './commands/report.ts';
import { resumeCommand } from './commands/resume.ts';
import { reviewCommand } from './commands/review.ts';
import { runCommand } from './commands/run.ts';
import { serveModelCommand } from './commands/serve-model.ts';
import { showCommand } from './commands/show.ts';
import { taskCommand } from './commands/task.ts';
import { teacherCommand } from './commands/teacher.ts';
import { reportError } from './report-error.ts';
import { exitCodes, type Shell } from './shell.ts';

/** In the order of the help. A new command is a file in commands/ and a line here. */
const commands: readonly ((shell: Shell) => Command)[] = [
  demoCommand,
  doctorCommand,
  teacherCommand,
  taskCommand,
  corpusCommand,
  runCommand,
  resumeCommand,
  remoteCommand,
  listCommand,
  showCommand,
  compareCommand,
  reportCommand,
  evaluateCommand,
  exportCommand,
  convertCommand,
  inspectCommand,
  generateCommand,
  classifyCommand,
  reviewCommand,
  serveModelCommand,
  deployCommand,
  benchmarkCommand,
  componentsCommand,
];

const help = `
Exit codes:
  0  done
  1  failed in the middle; what was saved can be resumed
  2  wrong command line, or input that cannot be used
  3  another workbench holds the workspace
  4  paused; "tritsmith resume" goes on
  5  cancelled

Ctrl-C once pauses a run and saves its state, twice cancels it.

Example:
  tritsmith demo
`;

/** Runs one command line (without the program's name) and returns the exit code. */
export async function runCli(args: readonly string[], shell: Shell): Promise<number> {
  const program = new Command('tritsmith')
    .description('Turns an off-the-shelf language model into a 1.58-bit ternary student for one task, offline.')
    .version(programVersions()['tritsmith'] ?? 'unknown')
    .addHelpText('after', help);
  for (const build of commands) program.addCommand(build(shell));
  program.addCommand(remoteAgentCommand(), { hidden: true });
  forEachCommand(program, (command) => {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        shell.out(asCalled(text));
      },
      writeErr: shell.err,
    });
    command.showHelpAfterError('(--help shows how this command is used)');
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) reportError(shell, thrown, {});
    else if (thrown.exitCode !== 0) shell.exitCode = exitCodes.badInput;
  }
  return shell.exitCode;
}

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const inner of command.commands) forEachCommand(inner, visit);
}
