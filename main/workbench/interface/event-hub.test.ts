import { describe, expect, it } from 'vitest';
import type { LiveProgress, WorkbenchEvent } from '../../contract/views.ts';
import { EventHub } from './event-hub.ts';

const log = (number: number): WorkbenchEvent => ({
  type: 'log',
  id: 'slow-1',
  lines: [{ stage: 'distil', time: number, level: 'info', text: `Line ${String(number)}` }],
});
const ended = (id: string): WorkbenchEvent => ({ type: 'ended', id, name: id, state: 'done' });
const live = (id: string, done: number): WorkbenchEvent => {
  const progress: LiveProgress = {
    stage: 'distil',
    done,
    total: 1000,
    unit: 'steps',
    note: null,
    fraction: 0,
    stageSeconds: null,
    wholeSeconds: null,
    latest: {},
    workerBytes: null,
    stopping: null,
    elapsedSeconds: 0,
    stageElapsedSeconds: 0,
    silentMinutes: null,
  };
  return { type: 'live', id, live: progress };
};

/** A watcher that has read one event and is busy with it. */
async function slowWatcher(hub: EventHub): Promise<AsyncGenerator<WorkbenchEvent, void>> {
  const stream = hub.watch();
  const first = stream.next();
  hub.say({ type: 'list' });
  expect((await first).value).toEqual({ type: 'list' });
  return stream;
}

async function rest(stream: AsyncGenerator<WorkbenchEvent, void>): Promise<WorkbenchEvent[]> {
  const events: WorkbenchEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe('a watcher that is slow', () => {
  it('hears that an experiment ended, before and after too much waits, and its stream ends so that it reads all again', async () => {
    const hub = new EventHub();
    const stream = await slowWatcher(hub);
    hub.say(ended('early-1'));
    for (let number = 0; number < 2000; number += 1) hub.say(log(number));
    hub.say(ended('late-1'));
    const events = await rest(stream);
    expect(events[0]).toEqual(ended('early-1'));
    expect(events.at(-1)).toEqual(ended('late-1'));
    // What it got before that is whole: nothing is missing in the middle.
    const logs = events.slice(1, -1);
    expect(logs.length).toBeGreaterThan(100);
    expect(logs).toEqual(logs.map((_, number) => log(number)));
  });

  it('is not ended by live events: only the newest of each experiment waits', async () => {
    const hub = new EventHub();
    const stop = new AbortController();
    const stream = hub.watch(stop.signal);
    const first = stream.next();
    hub.say(ended('a'));
    await first;
    for (let done = 0; done < 2000; done += 1) for (const id of ['a', 'b']) hub.say(live(id, done));
    hub.say(log(1));
    const heard = [await stream.next(), await stream.next(), await stream.next()].map(({ value }) => value);
    expect(heard).toEqual([live('a', 1999), live('b', 1999), log(1)]);
    const next = stream.next();
    hub.say(log(2));
    expect((await next).value).toEqual(log(2));
    const last = stream.next();
    stop.abort();
    expect((await last).done).toBe(true);
  });
});
