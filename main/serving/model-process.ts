/**
 * The process behind a model server. It computes as many requests at once as it has conversations; further ones wait in the order in which they came, and
 * what consists of many texts waits anew for each of them, so that a long list holds nobody up.
 */
import { TritsmithError } from '../contract/errors.ts';
import {
  type ModelToServe,
  type ScoreRequest,
  type Scored,
  type ServedFacts,
  type ServingCommand,
  type ServingMessage,
  servingMessage,
  type WriteRequest,
  type Written,
} from '../contract/serving-protocol.ts';
import type { SpawnPort, WorkerProcess } from '../jobs/spawn-port.ts';

/** How long it may take to hear that a request is not wanted any more: between two steps. One that hears nothing is stuck, for all. */
const cancelMilliseconds = 15_000;

interface Running {
  tell(text: string): void;
  resolve(answer: Written | Scored): void;
  reject(error: TritsmithError): void;
}

interface Waiter {
  begin(): void;
  drop(): void;
}

export class ModelProcess {
  readonly #port: SpawnPort;
  readonly #model: ModelToServe;
  #worker: WorkerProcess | null = null;
  #opening: Promise<ServedFacts> | null = null;
  #facts: ServedFacts | null = null;
  readonly #running = new Map<number, Running>();
  #waiting: Waiter[] = [];
  /** Requests that have a conversation. */
  #busy = 0;
  #ids = 0;
  #closed = false;

  private constructor(port: SpawnPort, model: ModelToServe) {
    this.#port = port;
    this.#model = model;
  }

  /** Starts the process. @throws TritsmithError why the model cannot be opened */
  static async open(port: SpawnPort, model: ModelToServe): Promise<ModelProcess> {
    const opened = new ModelProcess(port, model);
    try {
      opened.#facts = await opened.#start();
      return opened;
    } catch (thrown) {
      opened.close();
      throw thrown;
    }
  }

  get facts(): ServedFacts {
    return this.#facts!;
  }

  /** Requests that are computed at once. */
  get size(): number {
    return this.facts.conversations;
  }

  get busy(): number {
    return this.#busy;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Tells the answer piece by piece. An aborted one resolves with the reason `cancelled`. @throws TritsmithError, also `stopped` */
  async write(
    request: Omit<WriteRequest, 'type' | 'id'>,
    signal: AbortSignal,
    tell: (text: string) => void,
  ): Promise<Written> {
    return (await this.#ask({ ...request, type: 'write', id: ++this.#ids }, signal, tell)) as Written;
  }

  /** @throws TritsmithError, also `stopped` where `signal` aborts */
  async score(input: ScoreRequest['input'], signal: AbortSignal): Promise<Scored> {
    return (await this.#ask({ type: 'score', id: ++this.#ids, input }, signal, () => undefined)) as Scored;
  }

  /** The process that stands ready; one that died is started anew. */
  #start(): Promise<ServedFacts> {
    this.#opening ??= new Promise<ServedFacts>((resolve, reject) => {
      const worker = this.#port.spawn();
      this.#worker = worker;
      worker.onMessage((raw) => {
        const parsed = servingMessage.safeParse(raw);
        if (!parsed.success) return;
        const message = parsed.data;
        if (message.type === 'opened') resolve(message.facts);
        else if (message.type === 'failed') reject(TritsmithError.deserialise(message.error));
        else this.#hear(message);
      });
      worker.onExit(() => {
        this.#worker = null;
        this.#opening = null;
        const died = new TritsmithError('worker-died', 'helper.died', undefined, { details: worker.outputTail() });
        reject(died);
        for (const id of [...this.#running.keys()]) this.#end(id)?.reject(died);
      });
      worker.send({ type: 'open', model: this.#model } satisfies ServingCommand);
    });
    return this.#opening;
  }

  #hear(message: Exclude<ServingMessage, { type: 'opened' | 'failed' }>): void {
    const { id } = message;
    if (message.type === 'text') this.#running.get(id)?.tell(message.text);
    else if (message.type === 'refused') this.#end(id)?.reject(TritsmithError.deserialise(message.error));
    else this.#end(id)?.resolve(message);
  }

  #end(id: number): Running | undefined {
    const running = this.#running.get(id);
    this.#running.delete(id);
    return running;
  }

  async #ask(
    request: WriteRequest | ScoreRequest,
    signal: AbortSignal,
    tell: (text: string) => void,
  ): Promise<Written | Scored> {
    await this.#turn(signal);
    let timer: NodeJS.Timeout | undefined;
    let cancel = (): void => undefined;
    try {
      await this.#start();
      const worker = this.#worker;
      if (worker === null || this.#closed) throw new TritsmithError('stopped', 'serving.ending');
      cancel = () => {
        worker.send({ type: 'cancel', id: request.id } satisfies ServingCommand);
        timer = setTimeout(() => {
          worker.kill();
        }, cancelMilliseconds);
      };
      signal.addEventListener('abort', cancel);
      return await new Promise<Written | Scored>((resolve, reject) => {
        this.#running.set(request.id, { tell, resolve, reject });
        worker.send(request satisfies ServingCommand);
        if (signal.aborted) cancel();
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy -= 1;
      else next.begin();
    }
  }

  /** Resolves when there is a conversation for it. @throws TritsmithError `stopped` */
  #turn(signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted) return Promise.reject(new TritsmithError('stopped', 'serving.ending'));
    if (this.#busy < this.size) {
      this.#busy += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const drop = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== waiter);
        reject(new TritsmithError('stopped', 'serving.ending'));
      };
      const waiter: Waiter = {
        begin: () => {
          signal.removeEventListener('abort', drop);
          resolve();
        },
        drop,
      };
      signal.addEventListener('abort', drop, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Ends the process at once, whatever it is at. */
  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting]) waiter.drop();
    this.#worker?.kill();
  }
}
