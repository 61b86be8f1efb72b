/** llama.cpp for tests: as the user has it, else installed into the repository's cache where a registry can be reached. */
import { fileURLToPath } from 'node:url';
import { findLlamaCpp } from '../llama-cpp/component.ts';
import { installLlamaCpp } from '../llama-cpp/install.ts';

const cache = fileURLToPath(new URL('../../.cache/components', import.meta.url));
/** Holds its folder, or nothing where it cannot be had, for the processes that run test files. */
const variable = 'TRITSMITH_TEST_LLAMA_CPP';

/** Title of tests that are skipped without it. */
export const needsLlamaCpp = '(skipped where llama.cpp is neither installed nor can be)';

/** Its folder, or null: then the tests that need it are skipped. */
export function llamaCppForTests(): string | null {
  return process.env[variable] || null;
}

/** Vitest calls this before all tests: so every file of a run finds the same, and one installation is enough. */
export default async function setup(): Promise<void> {
  const installed = (): Promise<string | null> =>
    installLlamaCpp(undefined, AbortSignal.timeout(600_000), cache).catch((error: unknown) => {
      process.stdout.write(`Tests with llama.cpp are skipped: ${String(error)}\n`);
      return null;
    });
  process.env[variable] = findLlamaCpp() ?? (await installed()) ?? '';
}
