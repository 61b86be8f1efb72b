/** Downloads from the Hub while the workbench runs: begun, watched, paused, gone on with, cancelled. */
import { basename } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import {
  type HubAccess,
  type HubDownload,
  type HubModel,
  type HubModelCard,
  hubModelId,
  type HubSearchRequest,
} from '../../contract/hub.ts';
import { discardDownload, type DownloadProgress, unfinishedDownloads } from '../../hub/download.ts';
import { HubClient } from '../../hub/hub-client.ts';
import { describeModel, searchModels } from '../../hub/hub-models.ts';
import { proxyInUse } from '../../hub/network-settings.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { EventHub } from '../interface/event-hub.ts';
import { downloadsFolder, downloadTarget, fetchTeacher, foreseeDownload } from './teacher-source.ts';
import type { Workspace } from '../workspace/workspace.ts';

const tellMilliseconds = 250;
/** Over which the speed is taken. */
const speedMilliseconds = 5000;

interface Active {
  view: HubDownload;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

export class TeacherDownloads {
  readonly #workspace: Workspace;
  readonly #port: SpawnPort;
  readonly #events: EventHub;
  readonly #active = new Map<string, Active>();
  /** Ended or failed since the workbench began. */
  readonly #past = new Map<string, HubDownload>();
  readonly #proxy: () => string;
  #token: string | null = null;

  /** `proxy`: the address that the person set; empty for the environment's. */
  constructor(workspace: Workspace, port: SpawnPort, events: EventHub, proxy: () => string) {
    this.#proxy = proxy;
    this.#workspace = workspace;
    this.#port = port;
    this.#events = events;
  }

  /** Whether one is on its way now. */
  get busy(): boolean {
    return this.#active.size > 0;
  }

  access(): HubAccess {
    const token = this.#token !== null ? 'memory' : (process.env['HF_TOKEN'] ?? '') === '' ? 'none' : 'environment';
    const { endpoint } = new HubClient();
    return { endpoint, token, proxy: proxyInUse(endpoint, this.#proxy()) };
  }

  /** The token stays in this process and is written nowhere. */
  useToken(token: string | null): HubAccess {
    this.#token = token;
    return this.access();
  }

  search(request: HubSearchRequest): Promise<HubModel[]> {
    return searchModels(this.#client(), request);
  }

  inspect(id: string): Promise<HubModelCard> {
    return foreseeDownload(this.#client(), id, this.#workspace.paths.folder, this.#port);
  }

  /** Those that run, were interrupted (by this or an earlier workbench), or ended since the workbench began. */
  async list(): Promise<HubDownload[]> {
    const found = new Map<string, HubDownload>();
    for (const { target, plan, doneBytes } of await unfinishedDownloads(downloadsFolder(this.#workspace.paths.folder)))
      if (basename(target) === basename(downloadTarget(this.#workspace.paths.folder, plan.id)))
        found.set(plan.id, { ...begun(plan.id), state: 'interrupted', doneBytes, totalBytes: plan.bytes });
    for (const [id, view] of this.#past) found.set(id, view);
    for (const [id, { view }] of this.#active) found.set(id, view);
    return [...found.values()];
  }

  /** Begins or goes on; nothing changes for one that runs. */
  async start(id: string): Promise<HubDownload> {
    const running = this.#active.get(id);
    if (running !== undefined) return running.view;
    const earlier = (await this.list()).find((each) => each.id === id);
    const already = this.#active.get(id);
    if (already !== undefined) return already.view;
    const stop = new AbortController();
    const view: HubDownload = {
      ...begun(id),
      doneBytes: earlier?.state === 'interrupted' ? earlier.doneBytes : 0,
      totalBytes: earlier?.totalBytes ?? 0,
    };
    this.#past.delete(id);
    const active: Active = {
      view,
      stop,
      ended: this.#run(id, view.doneBytes, stop.signal).finally(() => {
        this.#active.delete(id);
      }),
    };
    this.#active.set(id, active);
    this.#tell(view);
    return view;
  }

  async pause(id: string): Promise<void> {
    const active = this.#active.get(id);
    active?.stop.abort();
    await active?.ended;
  }

  /** Nothing of it stays. A model that is here already is no download any more. */
  async cancel(id: string): Promise<void> {
    await this.pause(id);
    if (!hubModelId.safeParse(id).success) return;
    this.#past.delete(id);
    await discardDownload(downloadTarget(this.#workspace.paths.folder, id));
    this.#events.say({ type: 'download', id, download: null });
  }

  /** Stops what runs; a later workbench offers to go on. */
  async close(): Promise<void> {
    await Promise.all([...this.#active.keys()].map((id) => this.pause(id)));
  }

  async #run(id: string, doneBytes: number, signal: AbortSignal): Promise<void> {
    // The caller has to know of it before it can end.
    await Promise.resolve();
    const meter = new Meter(doneBytes);
    let view: HubDownload = this.#active.get(id)?.view ?? begun(id);
    const change = (part: Partial<HubDownload>): void => {
      view = { ...view, ...part };
      const active = this.#active.get(id);
      if (active !== undefined) active.view = view;
      this.#tell(view);
    };
    try {
      const client = this.#client();
      const { plan } = await describeModel(client, id, signal);
      change({ totalBytes: plan.bytes });
      let told = 0;
      const onProgress = (progress: DownloadProgress): void => {
        const bytesPerSecond = meter.at(progress.doneBytes);
        if (Date.now() - told < tellMilliseconds && progress.state === view.state) return;
        told = Date.now();
        change({ ...progress, bytesPerSecond });
      };
      const card = await fetchTeacher(client, plan, this.#workspace, this.#port, { signal, onProgress, doneBytes });
      change({ state: 'done', doneBytes: plan.bytes, bytesPerSecond: null, file: null, folder: card.folder });
    } catch (thrown) {
      const error = TritsmithError.from(thrown);
      change({
        state: 'interrupted',
        bytesPerSecond: null,
        file: null,
        error: signal.aborted ? null : error.serialise(),
      });
    }
    this.#past.set(id, view);
  }

  #client(): HubClient {
    return new HubClient({ proxy: this.#proxy(), ...(this.#token === null ? {} : { token: this.#token }) });
  }

  #tell(download: HubDownload): void {
    this.#events.say({ type: 'download', id: download.id, download });
  }
}

function begun(id: string): HubDownload {
  return {
    id,
    state: 'running',
    doneBytes: 0,
    totalBytes: 0,
    file: null,
    bytesPerSecond: null,
    error: null,
    folder: null,
  };
}

/** Bytes per second over the last seconds. */
class Meter {
  readonly #points: { time: number; bytes: number }[];

  constructor(bytes: number) {
    this.#points = [{ time: performance.now(), bytes }];
  }

  at(bytes: number): number | null {
    const now = performance.now();
    if (now - (this.#points.at(-1)?.time ?? 0) > 100) this.#points.push({ time: now, bytes });
    while (this.#points.length > 2 && now - (this.#points[1]?.time ?? now) > speedMilliseconds) this.#points.shift();
    const first = this.#points[0];
    if (first === undefined || now - first.time < 500) return null;
    return Math.max(0, ((bytes - first.bytes) / (now - first.time)) * 1000);
  }
}
