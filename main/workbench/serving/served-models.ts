/** Students that the workbench serves to other programs, each on an address of its own, until they are stopped or the workbench ends. */
import { availableParallelism } from 'node:os';
import { TritsmithError } from '../../contract/errors.ts';
import { studentModel } from '../../contract/model-names.ts';
import type { ServedModel } from '../../contract/serving.ts';
import { scoreTemperature } from '../../experiment/results.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { type ModelServer, newToken, startModelServer } from '../../serving/model-server.ts';
import type { EventHub } from '../interface/event-hub.ts';
import { exportOf } from '../results/results.ts';
import type { Workspace } from '../workspace/workspace.ts';

const tellMilliseconds = 1000;

interface Entry {
  readonly server: ModelServer;
  readonly token: string;
}

export class ServedModels {
  readonly #workspace: Workspace;
  readonly #port: SpawnPort;
  readonly #hub: EventHub;
  readonly #entries = new Map<string, Promise<Entry>>();
  readonly #told = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(workspace: Workspace, port: SpawnPort, hub: EventHub) {
    this.#workspace = workspace;
    this.#port = port;
    this.#hub = hub;
    this.#timer = setInterval(() => {
      for (const id of this.#entries.keys()) void this.#tell(id);
    }, tellMilliseconds).unref();
  }

  /** Null where it is not served. Waits for one that starts. */
  async get(id: string): Promise<ServedModel | null> {
    const entry = await this.#entries.get(id)?.catch(() => null);
    if (entry === undefined || entry === null) return null;
    const { server, token } = entry;
    return { experiment: id, address: server.address, token, facts: server.facts, ...server.state };
  }

  /**
   * Serves the student of an experiment with a new token; one that is served already stays as it is. One core is left to the interface.
   * @throws TritsmithError `not-found` without an exported student, and why the model cannot be opened
   */
  async start(id: string): Promise<ServedModel> {
    if (this.#closed) throw new TritsmithError('stopped', 'serving.ending');
    if (!this.#entries.has(id)) this.#entries.set(id, this.#open(id));
    try {
      await this.#entries.get(id);
    } catch (thrown) {
      this.#entries.delete(id);
      throw thrown;
    }
    await this.#tell(id);
    const served = await this.get(id);
    if (served === null) throw new TritsmithError('stopped', 'serving.ending');
    return served;
  }

  async #open(id: string): Promise<Entry> {
    const record = this.#workspace.experiments.get(id);
    const { teacher, task, seed } = record.recipe;
    const experiment = this.#workspace.experimentFolder(id);
    const token = newToken();
    const server = await startModelServer(this.#port, {
      model: {
        path: exportOf(this.#workspace, record, studentModel).path,
        tokenizer: teacher,
        task: { settings: task, seed, experiment, ...scoreTemperature(experiment, studentModel) },
        threads: Math.max(1, availableParallelism() - 1),
      },
      name: id,
      token,
    });
    return { server, token };
  }

  /** Lets what runs end for a few seconds. */
  async stop(id: string): Promise<void> {
    const entry = await this.#entries.get(id)?.catch(() => null);
    this.#entries.delete(id);
    this.#told.delete(id);
    await entry?.server.close();
    this.#hub.say({ type: 'served', id, served: null });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#entries.keys()].map((id) => this.stop(id)));
  }

  /** Says how it stands, where that has changed. */
  async #tell(id: string): Promise<void> {
    const served = await this.get(id);
    const text = JSON.stringify(served);
    if (served === null || !this.#entries.has(id) || this.#told.get(id) === text) return;
    this.#told.set(id, text);
    this.#hub.say({ type: 'served', id, served });
  }
}
