/** The runs that were sent to other computers from a workspace: one small file each, which needs no lock of the workspace. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { remoteRunId, type RemoteStatus, sentRun, type SentRun } from '../../contract/remote.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';

export class SentRuns {
  readonly #folder: string;

  /** @param workspace the folder of the workspace */
  constructor(workspace: string) {
    this.#folder = join(workspace, 'remote');
  }

  /** Newest first; a file that cannot be read is passed over. */
  list(): SentRun[] {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => readJsonIfWhole(join(this.#folder, name), sentRun))
      .filter((run) => run !== null)
      .toSorted((a, b) => b.sent - a.sent);
  }

  /** The run that `reference` names: its id, the only id that begins so, or `latest`. @throws TritsmithError `not-found` */
  find(reference: string): SentRun {
    const runs = this.list();
    const exact = runs.find(({ id }) => id === reference) ?? (reference === 'latest' ? runs[0] : undefined);
    if (exact !== undefined) return exact;
    const matches = reference === '' ? [] : runs.filter(({ id }) => id.startsWith(reference));
    if (matches.length === 1) return matches[0]!;
    throw matches.length > 1
      ? new TritsmithError('not-found', 'remote.several-runs', { reference, matches: matches.map(({ id }) => id) })
      : new TritsmithError('not-found', 'remote.unknown-run', { reference });
  }

  /** @throws TritsmithError `not-found` */
  get(id: string): SentRun {
    const run = this.list().find((each) => each.id === id);
    if (run === undefined) throw new TritsmithError('not-found', 'remote.unknown-run', { reference: id });
    return run;
  }

  write(run: SentRun): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeJsonAtomically(this.#path(run.id), sentRun.parse(run));
  }

  /** Forgets one that is not there (any more), and what came of it so far. */
  remove(id: string): void {
    rmSync(this.#path(id), { force: true });
    rmSync(this.arrivals(id), { recursive: true, force: true });
  }

  /** Notes what was heard of a run. */
  heard(id: string, status: RemoteStatus): void {
    this.#change(id, { last: { status, heard: Date.now() } });
  }

  /** Notes which experiment of this workspace a run became. */
  came(id: string, experiment: string): void {
    this.#change(id, { fetched: experiment });
  }

  /** Where files of a run wait until all of them are here. */
  arrivals(id: string): string {
    return join(this.#folder, `${remoteRunId.parse(id)}.arriving`);
  }

  #change(id: string, changes: Partial<SentRun>): void {
    const run = readJsonIfWhole(this.#path(id), sentRun);
    if (run !== null) this.write({ ...run, ...changes });
  }

  #path(id: string): string {
    return join(this.#folder, `${remoteRunId.parse(id)}.json`);
  }
}
