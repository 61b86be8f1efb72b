/** The window's line to the process with its workbench: starts it, carries what pages and workbench say to each other, and sees that it ends. */
import { TritsmithError } from '../../contract/errors.ts';
import {
  type LentWorker,
  type WindowMessage,
  workbenchMessage,
  type WorkbenchMessage,
} from '../../contract/window-protocol.ts';
import { LentWorkers } from '../../jobs/lent-workers.ts';
import type { SpawnPort, WorkerProcess } from '../../jobs/spawn-port.ts';

/** What is used of Electron's `MessagePortMain`. */
export interface PagePort {
  on(event: 'message', listener: (event: { readonly data: unknown }) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  postMessage(message: string): void;
  start(): void;
  close(): void;
}

export interface Busy {
  readonly training: boolean;
  readonly downloading: boolean;
}

export interface LineOptions {
  /** Where the workbench may run, the preferred place first; one that ends before it has said a word is given up for the next. */
  readonly places: readonly SpawnPort[];
  /** What starts workers for a workbench that cannot do so itself. */
  readonly lent: Readonly<Record<LentWorker, SpawnPort>>;
  readonly workspace?: string;
  /** Asks the person about a path that a page sent. */
  readonly mayRead: (path: string) => Promise<boolean>;
  readonly showInFolder: (path: string) => void;
  readonly onBusy?: (busy: Busy) => void;
  /** The workbench ended and nobody had asked it to; `said`: its last words. */
  readonly onDied?: (said: string) => void;
  /** How long a place may take to its first word; default 30 seconds. */
  readonly awakeSeconds?: number;
}

export interface WorkbenchLine {
  readonly busy: Busy;
  /** Joins a page to the workbench until one of them is gone. */
  addPage(port: PagePort): void;
  /** The person chose `path` outside of the page. */
  grant(path: string): void;
  /** Pauses what runs, saves, and resolves when the process is gone. */
  close(): Promise<void>;
}

/** Resolves when the workspace is open. Throws what the workbench says about why it cannot be, or `worker-died`. */
export async function openWorkbenchLine(options: LineOptions): Promise<WorkbenchLine> {
  let said = '';
  for (const place of options.places) {
    const process = new WorkbenchProcess(place, options);
    if (await process.awake) return process.open();
    said = process.said;
  }
  throw new TritsmithError('worker-died', 'window.workbench-not-started', undefined, { details: said });
}

class WorkbenchProcess implements WorkbenchLine {
  /** Whether it said anything before it ended. */
  readonly awake: Promise<boolean>;
  readonly #options: LineOptions;
  readonly #worker: WorkerProcess;
  readonly #lent: LentWorkers;
  readonly #pages = new Map<number, PagePort>();
  readonly #exited: Promise<void>;
  #lastPage = 0;
  #busy: Busy = { training: false, downloading: false };
  #isAwake = false;
  #ending = false;
  #opened: ((outcome: TritsmithError | null) => void) | null = null;
  #awoke: (awake: boolean) => void = () => undefined;

  constructor(place: SpawnPort, options: LineOptions) {
    this.#options = options;
    const worker = place.spawn();
    this.#worker = worker;
    this.#lent = new LentWorkers(options.lent, (news) => {
      this.#say(news);
    });
    this.awake = new Promise((resolve) => {
      this.#awoke = resolve;
    });
    const tooLate = setTimeout(
      () => {
        worker.kill();
      },
      (options.awakeSeconds ?? 30) * 1000,
    );
    worker.onMessage((raw) => {
      clearTimeout(tooLate);
      this.#hear(workbenchMessage.parse(raw));
    });
    this.#exited = new Promise((resolve) => {
      worker.onExit(() => {
        clearTimeout(tooLate);
        resolve();
        this.#gone();
      });
    });
  }

  get busy(): Busy {
    return this.#busy;
  }
  get said(): string {
    return this.#worker.outputTail();
  }

  open(): Promise<WorkbenchLine> {
    const { workspace } = this.#options;
    return new Promise((resolve, reject) => {
      this.#opened = (failure) => {
        this.#opened = null;
        if (failure === null) resolve(this);
        else reject(failure);
      };
      this.#say({ type: 'open', ...(workspace === undefined ? {} : { workspace }) });
    });
  }

  addPage(port: PagePort): void {
    const page = ++this.#lastPage;
    this.#pages.set(page, port);
    this.#say({ type: 'page-opened', page });
    port.on('message', ({ data }) => {
      // Our own page sends nothing else.
      if (typeof data === 'string') this.#say({ type: 'page-said', page, text: data });
      else port.close();
    });
    port.on('close', () => {
      if (this.#pages.delete(page)) this.#say({ type: 'page-closed', page });
    });
    port.start();
  }

  grant(path: string): void {
    this.#say({ type: 'granted', path });
  }

  close(): Promise<void> {
    this.#ending = true;
    this.#say({ type: 'close' });
    return this.#exited;
  }

  #say(message: WindowMessage): void {
    this.#worker.send(message);
  }

  #hear(message: WorkbenchMessage): void {
    switch (message.type) {
      case 'awake':
        this.#isAwake = true;
        this.#awoke(true);
        return;
      case 'opened':
        this.#opened?.(null);
        return;
      case 'not-opened':
        this.#ending = true;
        this.#opened?.(TritsmithError.deserialise(message.error));
        return;
      case 'page-said':
        this.#pages.get(message.page)?.postMessage(message.text);
        return;
      case 'may-read':
        void this.#options.mayRead(message.path).then((allowed) => {
          this.#say({ type: 'allowed', question: message.question, allowed });
        });
        return;
      case 'show-in-folder':
        this.#options.showInFolder(message.path);
        return;
      case 'busy':
        this.#busy = { training: message.training, downloading: message.downloading };
        this.#options.onBusy?.(this.#busy);
        return;
      case 'closed':
        return;
      case 'start-worker':
      case 'tell-worker':
      case 'kill-worker':
        this.#lent.hear(message);
    }
  }

  #gone(): void {
    this.#awoke(false);
    this.#lent.end();
    for (const port of this.#pages.values()) port.close();
    this.#pages.clear();
    if (this.#busy.training || this.#busy.downloading) {
      this.#busy = { training: false, downloading: false };
      this.#options.onBusy?.(this.#busy);
    }
    if (this.#opened !== null)
      this.#opened(
        new TritsmithError('worker-died', 'window.workbench-not-started', undefined, { details: this.said }),
      );
    else if (this.#isAwake && !this.#ending) this.#options.onDied?.(this.said);
  }
}
