/** Runs on another computer as this one sees them: sent, watched, stopped, gone on with. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { TritsmithError } from '../../contract/errors.ts';
import type { Recipe } from '../../contract/recipe.ts';
import {
  presentBytes,
  type RemoteHello,
  remoteHello,
  type RemotePlace,
  understoodRecipe,
  type RemoteStatus,
  remoteStatus,
  removedRun,
  type SentRun,
  stored,
} from '../../contract/remote.ts';
import { plainLetters } from '../../experiment/record.ts';
import { assertInputsExist, parseRecipe } from '../experiments/recipe-inputs.ts';
import type { SentRuns } from './sent-runs.ts';
import { ask, placeText, withAgent } from './ssh.ts';
import { type Luggage, pack, type TravellingFile, weigh } from './travel.ts';

export function hello(place: RemotePlace): Promise<RemoteHello> {
  return ask(place, { type: 'hello' }, remoteHello);
}

export interface Sending {
  /** So many of the bytes that are not there yet have gone. */
  onBytes?(sent: number, total: number): void;
  /** It may run beside others there. Default: not. */
  readonly beside?: boolean;
}

/**
 * Copies what the recipe names and starts it there; it runs when this returns.
 * @throws TritsmithError before anything is started; what was copied stays for the next time
 */
export async function send(runs: SentRuns, place: RemotePlace, given: Recipe, sending: Sending = {}): Promise<SentRun> {
  const recipe = parseRecipe(given);
  const { beside = false } = sending;
  assertInputsExist(recipe);
  const luggage = pack(recipe);
  // First of all, because reading models for their digests takes a while.
  const understood = await ask(place, { type: 'understand', recipe: luggage.recipe, beside }, understoodRecipe);
  assertSameRecipe(place, luggage, understood.recipe);
  const weighed = await weigh(luggage);
  await copy(place, weighed, sending);
  const run: SentRun = {
    id: newId(recipe.name),
    place,
    name: recipe.name,
    sent: Date.now(),
    recipe,
    last: null,
    fetched: null,
  };
  // Written before it starts: a connection that breaks in between must not lose it.
  runs.write(run);
  const files = weighed.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
  try {
    const request = { type: 'start', id: run.id, recipe: luggage.recipe, files, beside } as const;
    runs.heard(run.id, await ask(place, request, remoteStatus));
  } catch (thrown) {
    if (TritsmithError.from(thrown).code !== 'unreachable') runs.remove(run.id);
    throw thrown;
  }
  return run;
}

function newId(name: string): string {
  const plain = plainLetters(name, 50);
  return `${plain === '' ? 'run' : plain}-${randomBytes(4).toString('hex')}`;
}

/** Another version may not know a field of the recipe, and would leave it out without a word. */
function assertSameRecipe({ host }: RemotePlace, { recipe }: Luggage, understood: Recipe): void {
  const [sent, read] = [recipe, understood] as unknown as Record<string, unknown>[];
  const names = [...new Set([...Object.keys(sent!), ...Object.keys(read!)])];
  const fields = names.filter((name) => !isDeepStrictEqual(sent![name], read![name]));
  if (fields.length > 0) throw new TritsmithError('unsupported', 'remote.other-recipe', { host, fields });
}

/** Sends each content that is not there, from where an earlier copy of it broke off. @throws TritsmithError; what came stays there */
export async function copy(
  place: RemotePlace,
  files: readonly TravellingFile[],
  sending: Pick<Sending, 'onBytes'> = {},
): Promise<void> {
  const byContent = new Map(files.map((file) => [file.sha256, file]));
  for (let attempt = 0; ; attempt++) {
    const wanted = [...byContent.values()];
    if (wanted.length === 0) return;
    const contents = wanted.map(({ sha256, bytes }) => ({ sha256, bytes }));
    const { present, freeBytes } = await ask(place, { type: 'have', contents }, presentBytes);
    const missing = wanted.flatMap((file, at) => {
      const from = present[at] ?? 0;
      // An empty content is there in no part.
      return from < file.bytes || file.bytes === 0 ? [{ file, from }] : [];
    });
    if (missing.length === 0) return;
    const needed = missing.reduce((sum, { file, from }) => sum + file.bytes - from, 0);
    if (needed > freeBytes)
      throw new TritsmithError('no-space', 'remote.no-space', { host: place.host, needed, free: freeBytes });
    const { damaged } = await put(place, missing, needed, sending);
    for (const { sha256 } of wanted) if (!damaged.includes(sha256)) byContent.delete(sha256);
    const [again] = byContent.values();
    if (again !== undefined && attempt > 0)
      throw new TritsmithError('damaged', 'remote.damaged-copy', { path: again.source });
  }
}

function put(
  place: RemotePlace,
  missing: readonly { file: TravellingFile; from: number }[],
  total: number,
  { onBytes }: Pick<Sending, 'onBytes'>,
): Promise<{ damaged: string[] }> {
  const contents = missing.map(({ file: { sha256, bytes }, from }) => ({ sha256, bytes, from }));
  return withAgent(place, { type: 'put', contents }, async (agent) => {
    let ended = false;
    // Where the other side ends early its words come as the answer.
    const answer = agent.answer(stored).finally(() => (ended = true));
    answer.catch(() => undefined);
    let sent = 0;
    for (const { file, from } of missing) {
      if (file.bytes === from) continue;
      let left = file.bytes - from;
      for await (const piece of createReadStream(file.source, {
        start: from,
        end: file.bytes - 1,
        highWaterMark: 1 << 18,
      })) {
        if (ended) return answer;
        await Promise.race([agent.send(piece as Buffer), answer.catch(() => undefined)]);
        left -= (piece as Buffer).length;
        sent += (piece as Buffer).length;
        onBytes?.(sent, total);
      }
      // It became shorter meanwhile, and what follows would be taken for its end.
      if (left > 0) throw new TritsmithError('damaged', 'file.shrank', { path: file.source });
    }
    return answer;
  });
}

/**
 * Hears its status until no process of it is left there. Ends early where `signal` says so; the run does not.
 * @returns the last status
 */
export function watch(
  runs: SentRuns,
  run: SentRun,
  onStatus: (status: RemoteStatus) => void,
  signal?: AbortSignal,
): Promise<RemoteStatus | null> {
  return listen(runs, run, { type: 'watch', id: run.id }, onStatus, signal);
}

/** Pauses or cancels it, and returns its status when no process of it is left. */
export async function stop(
  runs: SentRuns,
  run: SentRun,
  how: 'pause' | 'cancel',
  onStatus: (status: RemoteStatus) => void = () => undefined,
): Promise<RemoteStatus | null> {
  return listen(runs, run, { type: 'stop', id: run.id, how }, onStatus);
}

function listen(
  runs: SentRuns,
  run: SentRun,
  request: Parameters<typeof withAgent>[1],
  onStatus: (status: RemoteStatus) => void,
  signal?: AbortSignal,
): Promise<RemoteStatus | null> {
  return withAgent(
    run.place,
    request,
    async (agent) => {
      let last: RemoteStatus | null = null;
      for (;;) {
        let status;
        try {
          status = await agent.next(remoteStatus);
        } catch (thrown) {
          if (signal?.aborted === true) return last;
          throw thrown;
        }
        if (status === null) return last;
        last = status;
        runs.heard(run.id, status);
        onStatus(status);
      }
    },
    signal,
  );
}

/** Goes on with one that is paused, failed, interrupted or cancelled. */
export async function resume(runs: SentRuns, run: SentRun, beside = false): Promise<RemoteStatus> {
  const status = await ask(run.place, { type: 'resume', id: run.id, beside }, remoteStatus);
  runs.heard(run.id, status);
  return status;
}

/**
 * Removes a run that has ended from the other computer, and forgets it here; what was fetched of it stays.
 * @returns bytes that are free there now
 * @throws TritsmithError `bad-input` where it still runs
 */
export async function remove(runs: SentRuns, run: SentRun): Promise<number> {
  let freed = 0;
  try {
    freed = (await ask(run.place, { type: 'remove', id: run.id }, removedRun)).freedBytes;
  } catch (thrown) {
    // Somebody removed it by hand.
    if (TritsmithError.from(thrown).id !== 'remote.not-there') throw thrown;
  }
  runs.remove(run.id);
  return freed;
}

/** What asking for a run brought: the run as it is known now. */
export interface Asked {
  readonly run: SentRun;
  /** The other side answered, and does not have it any more. */
  readonly gone: boolean;
  /** Why the other side could not be asked. */
  readonly problem: TritsmithError | null;
}

/** Asks each computer once for all runs on it that have not come home. Newest first; those that have are as they were. */
export async function askAll(runs: SentRuns): Promise<Asked[]> {
  const places = new Map<string, { place: RemotePlace; ids: string[] }>();
  for (const { id, place, fetched } of runs.list()) {
    if (fetched !== null) continue;
    const there = places.get(placeText(place)) ?? { place, ids: [] };
    places.set(placeText(place), { place, ids: [...there.ids, id] });
  }
  const found = new Map<string, Omit<Asked, 'run'>>();
  await Promise.all(
    [...places.values()].map(async ({ place, ids }) => {
      try {
        const statuses = await ask(place, { type: 'statuses', ids }, remoteStatus.array());
        for (const id of ids) {
          const status = statuses.find((each) => each.id === id);
          if (status !== undefined) runs.heard(id, status);
          found.set(id, { gone: status === undefined, problem: null });
        }
      } catch (thrown) {
        for (const id of ids) found.set(id, { gone: false, problem: TritsmithError.from(thrown) });
      }
    }),
  );
  return runs.list().map((run) => ({ run, ...(found.get(run.id) ?? { gone: false, problem: null }) }));
}
