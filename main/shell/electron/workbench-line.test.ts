/** The window's line to a real workbench, on both kinds of process: the pinned Node, and the stand-in for Electron's utility processes. */
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkbenchClient } from '../../contract/procedures.ts';
import { utilityStandIn } from '../../jobs/fixtures/utility-stand-in.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { utilityPort } from '../../jobs/utility-port.ts';
import { type LineOptions, openWorkbenchLine, type PagePort, type WorkbenchLine } from './workbench-line.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const script = here('./workbench.ts');
const teacher = here('../../../resources/demo/teacher');
const lines: WorkbenchLine[] = [];
let folder: string;
let workspace: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tritsmith-line-')));
  workspace = join(folder, 'workspace');
});
afterEach(async () => {
  for (const line of lines.splice(0)) await line.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As `MessagePortMain` has it: what was sent is the event's data. */
function asMain(port: MessagePort): PagePort {
  return {
    on: (event: string, listener: (event: never) => void) =>
      port.on(event, (data: unknown) => {
        listener({ data } as never);
      }),
    postMessage: (message) => {
      port.postMessage(message);
    },
    start: () => {
      port.start();
    },
    close: () => {
      port.close();
    },
  };
}

function pageOf(line: WorkbenchLine): WorkbenchClient {
  const { port1, port2 } = new MessageChannel();
  line.addPage(asMain(port2));
  const link = new RPCLink({ port: port1 as never });
  port1.start();
  return createORPCClient(link);
}

/** Where it runs, and what was started as a part of Electron. */
function placeOf(kind: 'utility' | 'plain'): { place: SpawnPort; lent: LineOptions['lent']; started: string[] } {
  const electron = utilityStandIn();
  const lent = {
    question: utilityPort(electron, here('../../jobs/worker.ts'), 'inspection'),
    row: utilityPort(electron, here('../../jobs/helper-worker.ts'), 'models'),
  };
  const place = kind === 'utility' ? utilityPort(electron, script, 'workbench') : forkPort(script);
  return { place, lent, started: electron.started };
}

async function open(place: SpawnPort | SpawnPort[], more: Partial<LineOptions> = {}): Promise<WorkbenchLine> {
  const line = await openWorkbenchLine({
    places: [place].flat(),
    lent: placeOf('utility').lent,
    workspace,
    mayRead: () => Promise.resolve(false),
    showInFolder: () => undefined,
    ...more,
  });
  lines.push(line);
  return line;
}

async function until(what: () => boolean): Promise<void> {
  const begun = performance.now();
  while (!what()) {
    if (performance.now() - begun > 30_000) throw new Error('It did not come to that within 30 seconds.');
    await sleep(20);
  }
}

describe.each(['plain', 'utility'] as const)('a workbench in a process (%s)', (kind) => {
  it('answers pages, inspects a teacher, and shows rows', async () => {
    const { place, lent, started } = placeOf(kind);
    const client = pageOf(await open(place, { lent }));
    expect(await client.application.information()).toMatchObject({ shell: 'electron', workspace });
    expect(await client.teachers.inspect({ folder: teacher })).toMatchObject({ folder: teacher, supported: true });
    expect((await client.components.list()).map(({ name }) => name)).toContain('llama.cpp');
    // What may run as a part of Electron does, and nothing else.
    expect(started).toEqual(kind === 'utility' ? ['workbench', 'inspection', 'models'] : []);
  });

  it('carries an error whole, and a stream of events to several pages', async () => {
    const line = await open(placeOf(kind).place);
    const [first, second] = [pageOf(line), pageOf(line)];
    const heard: string[] = [];
    const watching = (async () => {
      for await (const event of await first.application.watch()) {
        heard.push(event.type);
        return;
      }
    })();
    await sleep(200);
    await expect(second.experiments.get({ id: 'no-such-1' })).rejects.toMatchObject({ data: { code: 'not-found' } });
    const view = await second.experiments.startDemo();
    await watching;
    expect(heard).toEqual(['experiment']);
    await until(() => line.busy.training);
    await line.close();
    const record = readFileSync(join(workspace, 'experiments', view.record.id, 'experiment.json'), 'utf8');
    expect(JSON.parse(record)).toMatchObject({ state: 'paused' });
  });

  it('reads what the person granted, asks about the rest, and opens the file manager', async () => {
    const asked: string[] = [];
    const shown: string[] = [];
    const line = await open(placeOf(kind).place, {
      mayRead: (path) => {
        asked.push(path);
        return Promise.resolve(false);
      },
      showInFolder: (path) => shown.push(path),
    });
    const client = pageOf(line);
    const foreign = join(folder, 'foreign');
    await expect(client.files.browse({ folder: foreign })).rejects.toMatchObject({ data: { code: 'not-granted' } });
    expect(asked).toEqual([foreign]);
    const chosen = join(folder, 'chosen.tsv');
    writeFileSync(chosen, 'a\tb\n');
    line.grant(chosen);
    expect(await client.files.reveal({ path: chosen })).toEqual({ shown: true });
    await until(() => shown.length > 0);
    expect([asked, shown]).toEqual([[foreign], [chosen]]);
  });

  it('says why it cannot open', async () => {
    await open(placeOf(kind).place);
    await expect(open(placeOf(kind).place)).rejects.toMatchObject({ code: 'locked' });
  });
});

describe('the line', () => {
  it('takes the next place where the preferred one ends without a word', async () => {
    const broken = utilityPort(utilityStandIn({ broken: true }), script, 'workbench');
    let died = false;
    const line = await open([broken, forkPort(script)], { onDied: () => (died = true) });
    expect(await pageOf(line).application.information()).toMatchObject({ workspace });
    expect(died).toBe(false);
    await expect(open([broken])).rejects.toMatchObject({ code: 'worker-died' });
  });

  it('takes the next place where the preferred one is silent', async () => {
    const { place } = placeOf('plain');
    const silent = forkPort(here('../../jobs/fixtures/counting-worker.ts'));
    const line = await open([silent, place], { awakeSeconds: 2 });
    expect(await pageOf(line).application.information()).toMatchObject({ workspace });
  });

  it('says when the workbench dies, with its last words, and opens again what it held', async () => {
    const workers: number[] = [];
    const watched: SpawnPort = {
      spawn: () => {
        const worker = forkPort(script).spawn();
        workers.push(worker.pid!);
        return worker;
      },
    };
    const deaths: string[] = [];
    await open(watched, { onDied: (said) => deaths.push(said) });
    process.kill(workers[0]!, 'SIGKILL');
    await until(() => deaths.length === 1);
    expect(await pageOf(await open(watched)).application.information()).toMatchObject({ workspace });
  });
});
