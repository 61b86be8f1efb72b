/** llama.cpp for tests: as the user has it, else installed into the repository's cache where a registry can be reached. */
import { fileURLToPath } from 'node:url';
import { findLlamaCpp } from '../llama-cpp/component.ts';
import { installLlamaCpp } from '../llama-cpp/install.ts';

const cache = fileURLToPath(new URL('../../.cache/components', import.meta.url));

/** Title of tests that are skipped without it. */
export const needsLlamaCpp = '(skipped where llama.cpp is neither installed nor can be)';

/** Its folder, or null: then the tests that need it are skipped. */
export async function llamaCppForTests(): Promise<string | null> {
  return findLlamaCpp() ?? (await installLlamaCpp(undefined, AbortSignal.timeout(120_000), cache).catch(() => null));
}
