/** llama.cpp: fetching it, starting it, what it refuses. */
import type { Names } from '../names.ts';
import { capital, type Sentences } from '../sentences.ts';

const without = 'Everything else works without it.';

export const llamaCpp = {
  'llama-cpp.not-installed': (_: undefined, names: Names): Sentences => ({
    message: 'llama.cpp is not installed.',
    reason: 'It is no part of Tritsmith; it is fetched only when you ask for it.',
    remedy: names.action('llama-cpp.install'),
  }),
  'four-bit.no-llama-cpp': (): Sentences => ({
    message: 'The 4-bit teacher was left out: llama.cpp is not installed.',
    remedy: 'Install it; the comparison can be made at any time.',
  }),
  'llama-cpp.does-not-start': ({ problem }: { problem: string }, names: Names): Sentences => ({
    message: 'llama.cpp does not start on this machine.',
    reason: problem,
    remedy: `${capital(names.action('llama-cpp.reinstall'))}; everything else works without it.`,
  }),
  'llama-cpp.refuses-file': ({ path, said }: { path: string; said: string }, names: Names): Sentences => ({
    message: `llama.cpp does not load ${path}.`,
    reason: said,
    remedy: `${capital(names.action('file.inspect'))} says which programs read this file.`,
  }),
  'llama-cpp.ended': (
    { path, signal, code }: { path: string; signal: string | null; code: number | null },
    names: Names,
  ): Sentences => ({
    message: `llama.cpp ended while it ran ${path}.`,
    reason: signal === null ? `Its exit code was ${String(code)}.` : `It was ended by ${signal}.`,
    remedy: `It may lack memory for this file, or the file may be damaged: ${names.action('file.inspect')} reads it.`,
  }),
  'llama-cpp.no-token': (): Sentences => ({ message: 'llama.cpp gave no token.' }),
  'llama-cpp.no-way-back': (): Sentences => ({
    message: 'llama.cpp could not go back to the end of the prompt.',
  }),
  'llama-cpp.holds-a-model': (): Sentences => ({ message: 'This process holds a model already.' }),
  'llama-cpp.holds-no-model': (): Sentences => ({ message: 'This process holds no model yet.' }),
  'llama-cpp.disk-full': ({ megabytes }: { megabytes: number }): Sentences => ({
    message: 'The disk is full, so llama.cpp could not be installed.',
    reason: `It takes about ${megabytes} MB, and npm’s cache keeps what it downloaded.`,
    remedy:
      'Free some space on the disk of the components folder and of npm’s cache, then try again. Everything else works without it.',
  }),
  'llama-cpp.not-installable': ({ why }: { why: 'network' | 'integrity' | 'npm' }): Sentences => ({
    message: 'llama.cpp could not be installed.',
    reason: {
      network: 'The package registry could not be reached.',
      integrity: 'What was downloaded is not what was expected (EINTEGRITY).',
      npm: 'npm ended with an error.',
    }[why],
    remedy: `${without} Connect to the internet, then try again.`,
  }),
  'llama-cpp.no-binary': ({ platform, processor }: { platform: string; processor: string }): Sentences => ({
    message: 'llama.cpp cannot be installed here.',
    reason: `There is no ready-made binary for ${platform} on ${processor} processors.`,
    remedy: without,
  }),
  'llama-cpp.no-npm': ({ problem }: { problem: string }): Sentences => ({
    message: 'npm could not be started, so llama.cpp cannot be installed.',
    reason: problem,
    remedy: 'Install Node.js with npm, then try again.',
  }),
  'llama-cpp.install-cancelled': (): Sentences => ({
    message: 'Installing llama.cpp was cancelled; nothing was left behind.',
  }),
};
