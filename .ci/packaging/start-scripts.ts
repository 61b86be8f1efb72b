/** The texts beside the engine: how people start it. */
import type { Target } from './targets.ts';

export interface TextFile {
  readonly path: string;
  readonly text: string;
  readonly executable: boolean;
}

/** A script of a POSIX shell that needs no other program; it finds the engine beside itself from wherever it is called. */
const posixScript = (what: string, entry: string, settings = ''): string => `#!/bin/sh
# ${what}
case $0 in */*) here=\${0%/*} ;; *) here=. ;; esac
here=$(cd -- "$here" && pwd -P) || exit 1
if [ ! -x "$here/engine/bin/node" ]; then
  echo "The folder engine is missing beside $0. Unpack the whole archive, and start Tritsmith from there." >&2
  exit 1
fi
# Compiled code is kept for the next start, each user's in a folder of their own.
if [ -n "\${XDG_CACHE_HOME:-$HOME}" ]; then
  NODE_COMPILE_CACHE=\${NODE_COMPILE_CACHE:-\${XDG_CACHE_HOME:-$HOME/.cache}/tritsmith/compiled}
  export NODE_COMPILE_CACHE
fi
${settings}exec "$here/engine/bin/node" "$here/engine/${entry}" "$@"
`;

/** The same for Windows. ONNX Runtime needs Microsoft's C++ library, which most machines have, and whose lack it would only give a number. */
const windowsScript = (what: string, entry: string, wait: boolean, settings = ''): string =>
  `@echo off
rem ${what}
setlocal
if not exist "%~dp0engine\\bin\\node.exe" (
  echo The folder engine is missing beside this file. Unpack the whole archive, and start Tritsmith from there.
  ${wait ? 'pause\n  ' : ''}exit /b 1
)
if not exist "%SystemRoot%\\System32\\msvcp140_atomic_wait.dll" if not exist "%~dp0engine\\bin\\msvcp140_atomic_wait.dll" (
  echo Microsoft's Visual C++ library is missing on this machine. README.txt says where to get it.
  ${wait ? 'pause\n  ' : ''}exit /b 1
)
if not defined NODE_COMPILE_CACHE if defined LOCALAPPDATA set "NODE_COMPILE_CACHE=%LOCALAPPDATA%\\Tritsmith\\compiled"
${settings}"%~dp0engine\\bin\\node.exe" "%~dp0engine\\${entry.replaceAll('/', '\\')}" %*
${wait ? 'if errorlevel 1 pause\n' : ''}`.replaceAll('\n', '\r\n');

const startEntry = 'main/shell/start.js';
const commandEntry = 'main/shell/cli/main.js';

const needs: Record<Target['platform'], string> = {
  linux:
    'Linux with glibc 2.34 or newer and libstdc++, as Debian 12, Ubuntu 22.04, Fedora 35, RHEL 9 and what came after have them (not Alpine).',
  darwin:
    'macOS 13.5 or newer on Apple silicon (M1 and newer). The program is not signed, and macOS refuses what was downloaded and is not. Once, in Terminal:\n  xattr -dr com.apple.quarantine <this folder>',
  win32:
    'Windows 10 or 11. The program is not signed: where Windows "protected your PC", choose "More info", then "Run anyway". If it says that Microsoft\'s Visual C++ library is missing: install the "Visual C++ Redistributable for Visual Studio 2022 (x64)", or, without an administrator, put msvcp140.dll, msvcp140_1.dll, msvcp140_atomic_wait.dll, vcruntime140.dll and vcruntime140_1.dll of a machine that has it into engine\\\\bin.',
};

export function startScripts({ platform }: Target, version: string): TextFile[] {
  const windows = platform === 'win32';
  const start = { linux: 'start-tritsmith.sh', darwin: 'start-tritsmith.command', win32: 'start-tritsmith.cmd' }[
    platform
  ];
  const command = windows ? 'tritsmith.cmd' : 'tritsmith';
  const opens = 'Starts Tritsmith and opens it in the browser; Ctrl-C here ends it, with what runs paused and saved.';
  const commands = 'The command line of Tritsmith: "--help" lists its commands.';
  const readme = `Tritsmith ${version}

Start it: ${windows ? 'double-click start-tritsmith.cmd' : platform === 'darwin' ? 'double-click start-tritsmith.command' : './start-tritsmith.sh (in a file manager: "Run as a program")'}. The workbench opens in your browser. Nothing is installed, no
administrator and no network is needed; this folder may lie anywhere, on a read-only disk too.

On a machine without a screen: ${windows ? 'start-tritsmith.cmd' : platform === 'darwin' ? './start-tritsmith.command' : './start-tritsmith.sh'} --no-browser --port 8100 prints a link.

The command line: ${windows ? 'tritsmith.cmd' : './tritsmith'} --help, for example ${windows ? 'tritsmith.cmd' : './tritsmith'} demo

What you make lies in ${
    {
      linux: '~/.local/share/tritsmith',
      darwin: '~/Library/Application Support/Tritsmith',
      win32: '%LOCALAPPDATA%\\Tritsmith',
    }[platform]
  }, or in the folder that you name with --workspace. To remove
Tritsmith, delete this folder; to remove your experiments, delete that one.

Needs: ${needs[platform]}
4 GB of memory and 1 GB of disk do for the demo; for other models "tritsmith doctor" says what this machine can do.

To have a window of its own instead of the browser, unpack Electron's release into a folder "electron" beside this file.

Licences of all that is in here: licences/
`;
  const files = windows
    ? [
        { path: start, text: windowsScript(opens, startEntry, true) },
        { path: command, text: windowsScript(commands, commandEntry, false, 'set "TRITSMITH_COMMAND=%~0"\n') },
      ]
    : [
        { path: start, text: posixScript(opens, startEntry) },
        { path: command, text: posixScript(commands, commandEntry, 'export TRITSMITH_COMMAND="$0"\n') },
      ];
  return [
    ...files.map((file) => ({ ...file, executable: true })),
    { path: 'README.txt', text: windows ? readme.replaceAll('\n', '\r\n') : readme, executable: false },
  ];
}
