/**
 * The other side of `ssh.ts`: answers one request of another computer's workbench. Runs are processes of their own, each with a workspace of its own, and live
 * on when the connection ends. All of it has the rights of the user who logged in, and no more.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { userDataFolder } from '../../contract/data-folder.ts';
import { type SerialisedError, TritsmithError } from '../../contract/errors.ts';
import { serialisedError } from '../../contract/jobs.ts';
import {
  agentMark,
  longestLine,
  type PlacedFile,
  remoteProtocol,
  type RemoteRequest,
  remoteRequest,
  type RemoteStatus,
} from '../../contract/remote.ts';
import { curveName } from '../../contract/metric-names.ts';
import { fileSha256, textSha256 } from '../../basics/file-digest.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';
import { processIdentity, readWorkerNote } from '../../experiment/worker-note.ts';
import { cacheFolder, checkpointsFolder, recordPath, workerNotePath } from '../../experiment/folder.ts';
import { identityOf, whereabouts } from '../experiments/process-identity.ts';
import { isResumable } from '../experiments/experiment-state.ts';
import { parseRecipe, withAbsolutePaths } from '../experiments/recipe-inputs.ts';
import { describeMachine, programVersions } from '../machine/machine.ts';
import { openWorkspace, type Workspace } from '../workspace/workspace.ts';
import { ByteReader } from './byte-reader.ts';
import { ContentStore } from './content-store.ts';

export interface AgentStreams {
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves when more may be written. */
  write(bytes: string | Uint8Array): Promise<void>;
}

/** How a run is started: the command line of this installation. */
export interface AgentOptions {
  /** Path of the command line's script. */
  readonly program: string;
  /** Default: `remote` in the user's data folder. */
  readonly folder?: string;
}

const watchMilliseconds = 1000;
/** Between two requests to end: sooner, a second one counts as the echo of the first. */
const echoMilliseconds = 1200;
/** How long a cancelled run has to end by itself. */
const patienceMilliseconds = 10_000;
const killMilliseconds = 10_000;

/** Reads one request and answers it. Errors are answers too. */
export async function serveAgent(streams: AgentStreams, options: AgentOptions): Promise<void> {
  const reader = new ByteReader(streams.input);
  const say = (value: unknown): Promise<void> => streams.write(`${JSON.stringify({ value })}\n`);
  await streams.write(`\n${agentMark} ${remoteProtocol} ${programVersions()['tritsmith'] ?? 'unknown'}\n`);
  try {
    const request = requestOf(await reader.line(longestLine));
    await new RemoteAgent(options, reader, say, (bytes) => streams.write(bytes)).answer(request);
  } catch (thrown) {
    await streams.write(`${JSON.stringify({ error: TritsmithError.from(thrown).serialise() })}\n`);
  }
}

function requestOf(line: string | null): RemoteRequest {
  try {
    return remoteRequest.parse(JSON.parse(line ?? ''));
  } catch (thrown) {
    throw new TritsmithError('bad-input', 'remote.bad-request', { problem: (thrown as Error).message.slice(0, 300) });
  }
}

/** Where everything of a run lies. */
interface RunPlaces {
  readonly folder: string;
  readonly recipe: string;
  readonly process: string;
  /** Standard output and error of its process. */
  readonly result: string;
  readonly log: string;
  readonly workspace: string;
}

class RemoteAgent {
  readonly #options: AgentOptions;
  readonly #folder: string;
  readonly #reader: ByteReader;
  readonly #say: (value: unknown) => Promise<void>;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  /** Nobody hears an answer any more. */
  #gone = false;

  constructor(
    options: AgentOptions,
    reader: ByteReader,
    say: (value: unknown) => Promise<void>,
    write: (bytes: Uint8Array) => Promise<void>,
  ) {
    this.#options = options;
    this.#folder = options.folder ?? join(userDataFolder(), 'remote');
    this.#reader = reader;
    this.#say = say;
    this.#write = write;
    mkdirSync(join(this.#folder, 'runs'), { recursive: true, mode: 0o700 });
  }

  async answer(request: RemoteRequest): Promise<void> {
    if (request.type !== 'put')
      void this.#reader.skipAll().finally(() => {
        this.#gone = true;
      });
    switch (request.type) {
      case 'hello':
        return this.#say({
          machine: describeMachine(),
          versions: programVersions(),
          freeBytes: this.#freeBytes(),
          running: this.#running(),
        });
      case 'have': {
        const store = this.#store();
        const present = request.contents.map((content) => store.present(content));
        return this.#say({ present, freeBytes: this.#freeBytes() });
      }
      case 'put':
        // The only request with bytes behind it; all others hear by their end that the connection is gone.
        return this.#put(request.contents);
      case 'understand':
        this.#assertFree(request.beside);
        return this.#say({ recipe: parseRecipe(request.recipe) });
      case 'start':
        return this.#start(request);
      case 'watch':
        return this.#watch(this.#existing(request.id), request.id);
      case 'stop':
        return this.#stop(this.#existing(request.id), request.id, request.how);
      case 'resume':
        return this.#resume(this.#existing(request.id), request);
      case 'remove':
        return this.#remove(this.#existing(request.id), request.id);
      case 'statuses': {
        const there = request.ids.filter((id) => existsSync(this.#places(id).recipe));
        return this.#say(await Promise.all(there.map((id) => this.#status(this.#places(id), id))));
      }
      case 'files':
        return this.#files(this.#existing(request.id), request.id);
      case 'get':
        return this.#get(this.#existing(request.id), request.id, request.files);
    }
  }

  async #put(contents: Extract<RemoteRequest, { type: 'put' }>['contents']): Promise<void> {
    const store = this.#store();
    const damaged: string[] = [];
    for (const { from, ...content } of contents) {
      const outcome = await store.take(content, from, this.#reader.bytes(content.bytes - from));
      // The connection is gone, and nobody hears an answer.
      if (outcome === 'part') return;
      if (outcome === 'damaged') damaged.push(content.sha256);
    }
    await this.#say({ damaged });
  }

  /** Runs with a living process. */
  #running(): string[] {
    return this.#runs().filter((id) => this.#lives(this.#places(id)));
  }

  #runs(): string[] {
    return readdirSync(join(this.#folder, 'runs'));
  }

  /** @throws TritsmithError `locked` where a run lives that a new one would have to run beside */
  #assertFree(beside: boolean): void {
    const running = beside ? [] : this.#running();
    if (running.length > 0) throw new TritsmithError('locked', 'remote.busy', { running });
  }

  async #start({ id, recipe: sent, files, beside }: Extract<RemoteRequest, { type: 'start' }>): Promise<void> {
    const recipe = parseRecipe(sent);
    const places = this.#places(id);
    if (!existsSync(places.recipe)) {
      this.#assertFree(beside);
      const inputs = this.#placeInputs(files);
      mkdirSync(places.folder, { recursive: true, mode: 0o700 });
      writeJsonAtomically(places.recipe, withAbsolutePaths(recipe, inputs));
      this.#launch(places, ['run', places.recipe]);
    }
    await this.#say(await this.#status(places, id));
  }

  /** A folder with the files of a recipe under their names; made once for the same files. */
  #placeInputs(files: readonly PlacedFile[]): string {
    const store = this.#store();
    const folder = join(this.#folder, 'inputs', textSha256(JSON.stringify(files)));
    if (existsSync(folder)) return folder;
    const draft = `${folder}.${process.pid}.new`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true, mode: 0o700 });
    for (const { path, sha256 } of files) {
      const target = join(draft, path);
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
      try {
        linkSync(store.pathOf(sha256), target);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') throw TritsmithError.from(thrown);
        // A disk without hard links.
        copyFileSync(store.pathOf(sha256), target);
      }
    }
    if (!existsSync(folder)) renameSync(draft, folder);
    rmSync(draft, { recursive: true, force: true });
    return folder;
  }

  /** Starts the command line as a process that outlives this one. */
  #launch(places: RunPlaces, command: readonly string[]): void {
    const [out, err] = [openSync(places.result, 'w', 0o600), openSync(places.log, 'a', 0o600)];
    try {
      const child = spawn(
        process.execPath,
        [this.#options.program, ...command, '--json', '--workspace', places.workspace],
        { detached: true, stdio: ['ignore', out, err], cwd: places.folder, windowsHide: true },
      );
      child.on('error', () => undefined);
      if (child.pid === undefined) throw new TritsmithError('internal', 'remote.ended-early', { said: 'spawn' });
      writeJsonAtomically(places.process, identityOf(child.pid));
      child.unref();
    } finally {
      closeSync(out);
      closeSync(err);
    }
  }

  /** Says its status when it changes, until no process of it is left. */
  async #watch(places: RunPlaces, id: string): Promise<void> {
    for (let last = ''; ;) {
      const status = await this.#status(places, id);
      const text = JSON.stringify(status);
      if (text !== last) await this.#say(status);
      last = text;
      if (!status.running || this.#gone) return;
      await sleep(watchMilliseconds);
    }
  }

  async #stop(places: RunPlaces, id: string, how: 'pause' | 'cancel'): Promise<void> {
    const interrupt = (): void => {
      const runner = this.#runner(places);
      if (runner !== null) process.kill(runner.pid, 'SIGINT');
    };
    if (how === 'pause') interrupt();
    else if (this.#lives(places)) {
      interrupt();
      await sleep(echoMilliseconds);
      interrupt();
      await this.#end(places, id);
    }
    if (how === 'cancel')
      await this.#inWorkspace(places, 'write', (workspace, experiment) => {
        if (!['done', 'cancelled'].includes(workspace.experiments.get(experiment).state))
          workspace.experiments.setState(experiment, 'cancelled');
      });
    await this.#watch(places, id);
  }

  /** Waits until nothing of the run is left, and kills what does not end by itself. @throws TritsmithError where even that leaves something */
  async #end(places: RunPlaces, id: string): Promise<void> {
    const started = performance.now();
    let killed = false;
    for (;;) {
      const left = this.#processes(places);
      if (left.length === 0) return;
      const waited = performance.now() - started;
      if (waited > patienceMilliseconds && !killed) {
        for (const { pid } of left) process.kill(pid, 'SIGKILL');
        killed = true;
      }
      if (waited > patienceMilliseconds + killMilliseconds)
        throw new TritsmithError('locked', 'remote.will-not-end', { id, pid: left[0]!.pid });
      await sleep(50);
    }
  }

  async #resume(places: RunPlaces, { id, beside }: Extract<RemoteRequest, { type: 'resume' }>): Promise<void> {
    const status = await this.#status(places, id);
    if (status.running) throw new TritsmithError('bad-input', 'remote.still-runs', { id });
    if (!isResumable(status.state))
      throw new TritsmithError('bad-input', 'remote.not-resumable', { id, state: status.state });
    this.#assertFree(beside);
    const began = this.#experimentOf(places) !== null;
    this.#launch(places, began ? ['resume', 'latest'] : ['run', places.recipe]);
    await this.#say(await this.#status(places, id));
  }

  /** Takes the run away, the folders of inputs that no other run names, and the contents that were only there. */
  async #remove(places: RunPlaces, id: string): Promise<void> {
    if (this.#lives(places)) throw new TritsmithError('bad-input', 'remote.still-runs', { id });
    let freedBytes = bytesBelow(places.folder);
    rmSync(places.folder, { recursive: true });
    const recipes = this.#runs()
      .map((other) => this.#places(other).recipe)
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8'));
    const [inputs, files] = [join(this.#folder, 'inputs'), join(this.#folder, 'files')];
    for (const name of existsSync(inputs) ? readdirSync(inputs) : []) {
      if (recipes.some((recipe) => recipe.includes(name))) continue;
      const folder = join(inputs, name);
      const contents = filesBelow(folder).map((path) => statSync(join(folder, path)));
      rmSync(folder, { recursive: true });
      // Hard links: the bytes go with the last of them. On a disk without links each has its own.
      for (const { ino, nlink, size } of contents) {
        const last =
          nlink === 2 && existsSync(files)
            ? readdirSync(files).find((each) => inodeOf(join(files, each)) === ino)
            : undefined;
        if (last !== undefined) rmSync(join(files, last));
        if (last !== undefined || nlink === 1) freedBytes += size;
      }
    }
    if (this.#runs().length === 0 && existsSync(files)) {
      // What a broken connection left stays for the next time.
      for (const name of readdirSync(files).filter((each) => !each.endsWith('.part'))) {
        freedBytes += statSync(join(files, name)).size;
        rmSync(join(files, name));
      }
    }
    await this.#say({ freedBytes });
  }

  async #status(places: RunPlaces, id: string): Promise<RemoteStatus> {
    const running = this.#lives(places);
    const found = await this.#inWorkspace(places, 'read', (workspace, experiment) => {
      const record = workspace.experiments.get(experiment);
      const stage = record.stages.find(({ state }) => state !== 'done' && state !== 'pending') ?? null;
      const latest = (name: string): number | null =>
        stage === null
          ? null
          : (workspace.metrics.read(experiment, curveName(stage.kind, name), { points: 4 }).at(-1)?.value ?? null);
      return {
        state: record.state,
        fraction: workspace.experiments.overview().find((each) => each.id === experiment)?.fraction ?? 0,
        stage: stage && {
          kind: stage.kind,
          done: stage.done,
          total: stage.total,
          unit: stage.unit,
          loss: latest('loss'),
          tokensPerSecond: latest('tokens-per-second'),
        },
        seconds: record.stages.reduce((sum, { seconds }) => sum + seconds, 0),
        error: record.error,
      };
    });
    if (found === null) {
      const error = running ? null : this.#earlyEnd(places);
      return { id, running, state: running ? 'created' : 'failed', fraction: 0, stage: null, seconds: 0, error };
    }
    const state = found.state === 'running' && !running ? 'interrupted' : found.state;
    return { id, running, ...found, state };
  }

  /** Why there is no experiment: what the process said as JSON, else the end of its log. */
  #earlyEnd(places: RunPlaces): SerialisedError {
    const said = readJsonIfWhole(places.result, z.object({ error: serialisedError }));
    if (said !== null) return said.error;
    const log = existsSync(places.log) ? readFileSync(places.log, 'utf8').trim().slice(-500) : '';
    return new TritsmithError('worker-died', 'remote.ended-early', { said: log || '-' }).serialise();
  }

  async #files(places: RunPlaces, id: string): Promise<void> {
    const { folder, record } = await this.#ended(places, id);
    const files: PlacedFile[] = [];
    const left = [cacheFolder(folder), checkpointsFolder(folder)];
    for (const path of filesBelow(folder)) {
      const full = join(folder, path);
      // Checkpoints know the paths of this computer, and would not be continued on another.
      if (full === workerNotePath(folder) || left.some((each) => full.startsWith(`${each}/`))) continue;
      if (this.#gone) return;
      files.push({ path, bytes: statSync(full).size, sha256: await fileSha256(full) });
    }
    await this.#say({ record, files });
  }

  async #get(places: RunPlaces, id: string, files: Extract<RemoteRequest, { type: 'get' }>['files']): Promise<void> {
    const { folder } = await this.#ended(places, id);
    await this.#say({});
    for (const { path, from, bytes } of files)
      if (bytes > from)
        for await (const piece of createReadStream(join(folder, path), { start: from, end: bytes - 1 }))
          await this.#write(piece as Buffer);
  }

  /** The experiment of a run that does not run. @throws TritsmithError `bad-input` */
  async #ended(places: RunPlaces, id: string) {
    if (this.#lives(places)) throw new TritsmithError('bad-input', 'remote.still-runs', { id });
    const found = await this.#inWorkspace(places, 'read', (workspace, experiment) => ({
      folder: workspace.experimentFolder(experiment),
      record: workspace.experiments.get(experiment),
    }));
    if (found === null) throw new TritsmithError('bad-input', 'remote.never-began', { id });
    return found;
  }

  /** Null before the experiment has begun. */
  async #inWorkspace<T>(
    places: RunPlaces,
    mode: 'read' | 'write',
    work: (workspace: Workspace, experiment: string) => T,
  ): Promise<T | null> {
    const experiment = this.#experimentOf(places);
    if (experiment === null) return null;
    const workspace = await openWorkspace({ folder: places.workspace, mode, purpose: 'tritsmith remote-agent' });
    try {
      return workspace.experiments.has(experiment) ? work(workspace, experiment) : null;
    } finally {
      workspace.close();
    }
  }

  /** A run's workspace has one experiment. */
  #experimentOf(places: RunPlaces): string | null {
    const experiments = join(places.workspace, 'experiments');
    if (!existsSync(join(places.workspace, 'workbench.sqlite')) || !existsSync(experiments)) return null;
    return readdirSync(experiments).find((name) => existsSync(recordPath(join(experiments, name)))) ?? null;
  }

  #lives(places: RunPlaces): boolean {
    return this.#processes(places).length > 0;
  }

  /** What is left of the run: the process that runs it, and the worker of its stage. */
  #processes(places: RunPlaces): { pid: number }[] {
    const experiment = this.#experimentOf(places);
    const worker = experiment === null ? null : readWorkerNote(join(places.workspace, 'experiments', experiment));
    const runner = this.#runner(places);
    return [
      ...(runner === null ? [] : [runner]),
      ...(worker !== null && whereabouts(worker) === 'alive' ? [worker] : []),
    ];
  }

  #runner(places: RunPlaces): { pid: number } | null {
    const runner = readJsonIfWhole(places.process, processIdentity);
    return runner !== null && whereabouts(runner) === 'alive' ? runner : null;
  }

  #places(id: string): RunPlaces {
    const folder = join(this.#folder, 'runs', id);
    return {
      folder,
      recipe: join(folder, 'recipe.json'),
      process: join(folder, 'process.json'),
      result: join(folder, 'result.json'),
      log: join(folder, 'log.txt'),
      workspace: join(folder, 'workspace'),
    };
  }

  #existing(id: string): RunPlaces {
    const places = this.#places(id);
    if (existsSync(places.recipe)) return places;
    throw new TritsmithError('not-found', 'remote.not-there', { id });
  }

  #store(): ContentStore {
    return new ContentStore(join(this.#folder, 'files'));
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#folder);
    return bavail * bsize;
  }
}

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;

function bytesBelow(folder: string): number {
  return filesBelow(folder).reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
}

/** Ways to all files below `folder`, with `/` between their parts, in order. */
function filesBelow(folder: string, way = ''): string[] {
  return readdirSync(join(folder, way), { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = way === '' ? entry.name : `${way}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(folder, path) : entry.isFile() ? [path] : [];
    });
}
