import type { Command } from 'commander';
import { render } from '../../../contract/messages/message.ts';
import { examine } from '../../../workbench/machine/doctor.ts';
import { defaultWorkspaceFolder, prepareWorkspace } from '../../../workbench/workspace/workspace-folder.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';

export function doctorCommand(shell: Shell): Command {
  return newCommand('doctor', 'say what this machine can do, and what follows from it', 'doctor').action(
    (options: CommonOptions) =>
      guarded(shell, options, async () => {
        const { folder } = prepareWorkspace(options.workspace ?? defaultWorkspaceFolder());
        const report = await examine(shell.port, folder);
        if (report.findings.some((finding) => finding.level === 'problem')) shell.exitCode = exitCodes.failed;
        if (options.json === true) {
          printJson(shell, {
            ...report,
            findings: report.findings.map((finding) => ({ ...finding, ...render(finding) })),
          });
          return;
        }
        const marks = { fine: 'ok', limit: 'limit', problem: 'PROBLEM' } as const;
        shell.out(`${report.machine.processor}, ${report.machine.platform}, ${report.machine.architecture}\n\n`);
        for (const finding of report.findings) {
          const { message, reason, remedy } = render(finding);
          const follows = [reason, remedy].filter((text) => text !== undefined).join(' ');
          tell(shell, `${marks[finding.level].padEnd(8)} ${message}\n         ${follows}\n`);
        }
        const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
        shell.out(`\nWorkspace: ${folder}\nVersions: ${versions.join(', ')}\n`);
      }),
  );
}
