/** Which files of this machine the interface may have read: everything, or only what the person gave it. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { localPathsIn } from '../../contract/local-path.ts';
import { recipeSchema } from '../../contract/recipe.ts';
import { isWithin } from '../../basics/path-within.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** What a shell knows about who sends the paths. */
export type PathPolicy =
  /** Whoever can send one has proven to be the user, who may read what they may read. */
  | { readonly kind: 'sender-is-user' }
  /** A page sends them: what the person did not choose is asked for. `shipped`: folders that came with the program. */
  | {
      readonly kind: 'granted';
      readonly shipped: readonly string[];
      /** Shows `path` (fit to be shown) and answers whether it may be read. */
      readonly ask: (path: string) => Promise<boolean>;
    };

export interface PathAccess {
  /** Resolves when `path` may be read, after asking where that is not decided. Throws `not-granted`. */
  demand(path: string): Promise<void>;
  /** The person chose `path` outside of the page: it, and what lies in it, may be read from now on. */
  grant(path: string): void;
}

export function pathAccess(policy: PathPolicy, workspace: Workspace): PathAccess {
  return policy.kind === 'granted'
    ? new GrantedPaths(workspace, policy.shipped, policy.ask)
    : { demand: () => Promise.resolve(), grant: () => undefined };
}

const storedGrants = z.object({ version: z.literal(1), paths: z.array(z.string()) });

/** The workspace, what was shipped, what stored experiments and known teachers name, and what was granted (kept over restarts). */
class GrantedPaths implements PathAccess {
  readonly #workspace: Workspace;
  readonly #file: string;
  readonly #ask: (path: string) => Promise<boolean>;
  readonly #always: readonly string[];
  readonly #granted: Set<string>;
  #named: readonly string[] | null = null;
  /** Until the program ends or the person chooses them after all: a page can't wear anyone down. */
  readonly #refused = new Set<string>();
  readonly #asked = new Map<string, Promise<void>>();
  #lastQuestion: Promise<unknown> = Promise.resolve();

  constructor(workspace: Workspace, shipped: readonly string[], ask: (path: string) => Promise<boolean>) {
    this.#workspace = workspace;
    this.#file = join(workspace.paths.folder, 'granted-paths.json');
    this.#ask = ask;
    this.#always = [workspace.paths.folder, ...shipped].map(trueLocation);
    this.#granted = new Set(readGrants(this.#file));
  }

  grant(path: string): void {
    const place = trueLocation(path);
    this.#refused.delete(place);
    if (this.#granted.has(place)) return;
    this.#granted.add(place);
    writeJsonAtomically(this.#file, { version: 1, paths: [...this.#granted] });
  }

  demand(path: string): Promise<void> {
    const place = trueLocation(path);
    if (this.#isGranted(place)) return Promise.resolve();
    if (this.#refused.has(place)) return Promise.reject(notGranted(place));
    const known = this.#asked.get(place);
    if (known !== undefined) return known;
    // One question at a time; what it grants may answer the next one.
    const answer = this.#lastQuestion.then(() => this.#decide(place));
    this.#lastQuestion = answer.catch(() => undefined);
    this.#asked.set(place, answer);
    return answer.finally(() => this.#asked.delete(place));
  }

  async #decide(place: string): Promise<void> {
    if (this.#isGranted(place)) return;
    if (await this.#ask(asShown(place))) {
      this.grant(place);
      return;
    }
    if (this.#isGranted(place)) return;
    this.#refused.add(place);
    throw notGranted(place);
  }

  #isGranted(place: string): boolean {
    const within = (folder: string): boolean => isWithin(folder, place);
    return this.#always.some(within) || [...this.#granted].some(within) || this.#inUse().some(within);
  }

  /** What experiments and teachers named when this was first asked: all that came later has been granted. */
  #inUse(): readonly string[] {
    const { experiments, teachers } = this.#workspace;
    this.#named ??= [
      ...new Set([
        ...experiments.list().flatMap(({ recipe }) => localPathsIn(recipeSchema, recipe)),
        ...teachers.list().map(({ card }) => card.folder),
      ]),
    ].map(trueLocation);
    return this.#named;
  }
}

function readGrants(file: string): string[] {
  return readJsonIfWhole(file, storedGrants)?.paths ?? [];
}

/** Where `path` leads once `..` and symbolic links are followed; what does not exist stands under where its folder leads. */
function trueLocation(path: string): string {
  const absolute = resolve(path);
  // Looking at a share would already send the user's name to its server.
  if (process.platform === 'win32' && absolute.startsWith('\\\\')) return absolute;
  const missing: string[] = [];
  for (let existing = absolute; ; existing = dirname(existing))
    try {
      return join(realpathSync.native(existing), ...missing);
    } catch {
      if (dirname(existing) === existing) return absolute;
      missing.unshift(basename(existing));
    }
}

/** Without characters that would make a question read otherwise: line ends, changes of direction. */
function asShown(path: string): string {
  const plain = path.replaceAll(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  return plain.length <= 600 ? plain : `${plain.slice(0, 280)} … ${plain.slice(-280)}`;
}

function notGranted(place: string): TritsmithError {
  return new TritsmithError('not-granted', 'path.not-granted', { path: asShown(place) });
}
