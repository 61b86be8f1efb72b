/** The runs on other computers of an open workbench: what pages see of them, and do with them. */
import type { Recipe } from '../../contract/recipe.ts';
import type { RemoteRunView } from '../../contract/remote.ts';
import type { EventHub } from '../interface/event-hub.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { fetchRun } from './fetch.ts';
import { askAll, type Asked, remove, resume, send, stop } from './remote-runs.ts';
import { SentRuns } from './sent-runs.ts';
import { placeOf, placeText } from './ssh.ts';

export class RunsElsewhere {
  readonly #workspace: Workspace;
  readonly #hub: EventHub;
  readonly #runs: SentRuns;
  /** What asking last brought, by run. */
  #asked = new Map<string, Asked>();

  constructor(workspace: Workspace, hub: EventHub) {
    this.#workspace = workspace;
    this.#hub = hub;
    this.#runs = new SentRuns(workspace.paths.folder);
  }

  list(): RemoteRunView[] {
    return this.#runs.list().map(({ id }) => this.#view(id));
  }

  async ask(): Promise<RemoteRunView[]> {
    this.#asked = new Map((await askAll(this.#runs)).map((asked) => [asked.run.id, asked]));
    return this.list();
  }

  async start(recipe: Recipe, place: string, beside: boolean): Promise<RemoteRunView> {
    return this.#view((await send(this.#runs, placeOf(place), recipe, { beside })).id);
  }

  async stop(id: string, how: 'pause' | 'cancel'): Promise<RemoteRunView> {
    await stop(this.#runs, this.#runs.get(id), how);
    return this.#view(id);
  }

  async resume(id: string, beside: boolean): Promise<RemoteRunView> {
    await resume(this.#runs, this.#runs.get(id), beside);
    return this.#view(id);
  }

  /** Removes it there and forgets it here. @returns bytes that are free there now */
  remove(id: string): Promise<number> {
    return remove(this.#runs, this.#runs.get(id));
  }

  /** @returns the id of the experiment that it became */
  async bring(id: string): Promise<string> {
    const { id: experiment } = await fetchRun(this.#runs, this.#workspace, this.#runs.get(id));
    this.#hub.say({ type: 'list' });
    return experiment;
  }

  #view(id: string): RemoteRunView {
    const { name, place, sent, last, fetched } = this.#runs.get(id);
    const { gone = false, problem = null } = this.#asked.get(id) ?? {};
    return {
      id,
      name,
      where: placeText(place),
      sent,
      status: last?.status ?? null,
      heard: last?.heard ?? null,
      gone,
      fetched,
      problem: problem?.serialise() ?? null,
    };
  }
}
