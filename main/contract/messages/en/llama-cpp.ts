/** llama.cpp: fetching it, starting it, what it refuses. */
import type { Names } from '../names.ts';
import { capital, type Sentences } from '../sentences.ts';

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
};
