/** `components`: other programs that are fetched on demand; nothing else ever is. */
import { Argument, Command } from 'commander';
import { componentName, type ComponentName, type ComponentState } from '../../../contract/components.ts';
import { componentStates, installComponent, removeComponent } from '../../../workbench/interface/components.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { percent } from '../../../contract/quantities.ts';
import { bytes } from '../quantities.ts';
import { cancellable, runtimePort } from '../runnable-model.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { textTable } from '../text-table.ts';

export function componentsCommand(shell: Shell): Command {
  return new Command('components')
    .description(
      'other programs that Tritsmith can use: llama.cpp, to prove exports in and to compare with, and WebGPU, to train on a graphics card',
    )
    .addHelpText('after', '\nExample:\n  tritsmith components install llama.cpp\n')
    .addCommand(listCommand(shell))
    .addCommand(installCommand(shell))
    .addCommand(removeCommand(shell));
}

const whichOne = (): Argument => new Argument('<name>', 'which one').choices(componentName.options);

function listCommand(shell: Shell): Command {
  return newCommand('list', 'say what can be had and what is there', 'components list').action(
    (options: CommonOptions) =>
      guarded(shell, options, async () => {
        report(shell, await componentStates(runtimePort), options);
      }),
  );
}

function installCommand(shell: Shell): Command {
  return newCommand('install', 'download one, with npm', 'components install llama.cpp')
    .addArgument(whichOne())
    .action((name: ComponentName, options: CommonOptions) =>
      guarded(shell, options, async () => {
        await install(shell, name);
        report(shell, await componentStates(runtimePort), options);
      }),
    );
}

function removeCommand(shell: Shell): Command {
  return newCommand('remove', 'delete one from the disk', 'components remove llama.cpp')
    .addArgument(whichOne())
    .action((name: ComponentName, options: CommonOptions) =>
      guarded(shell, options, async () => {
        report(shell, await removeComponent(runtimePort, name), options);
      }),
    );
}

async function install(shell: Shell, name: ComponentName): Promise<void> {
  await cancellable(shell, async (cancel) => {
    let said = '';
    try {
      for await (const { text, done, total } of installComponent(runtimePort, name, cancel)) {
        const line = `${text}: ${percent(done / total)} of about ${bytes(total)}`;
        if (line !== said) shell.err(shell.terminal ? `\r\u001b[K${line}` : `${line}\n`);
        said = line;
      }
    } finally {
      if (shell.terminal && said !== '') shell.err('\n');
    }
  });
}

function report(shell: Shell, states: readonly ComponentState[], options: CommonOptions): void {
  if (options.json === true) {
    printJson(shell, { components: states });
    return;
  }
  shell.out(
    textTable(
      [
        { title: 'component', align: 'left' },
        { title: 'state', align: 'left' },
        { title: 'size' },
        { title: 'what for', align: 'left' },
      ],
      states.map(({ name, package: npm, version, installed, obstacle, bytes: size, purpose }) => [
        `${name} (${npm} ${version})`,
        installed ? 'installed' : (obstacle ?? 'not installed'),
        `${installed ? '' : 'about '}${bytes(size)}`,
        purpose,
      ]),
    ),
  );
  for (const { installed, folder } of states) if (installed) shell.out(`\n${folder}\n`);
}
