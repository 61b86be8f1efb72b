/**
 * The processes behind a model server. Each holds the model with one conversation, because the runtime computes one at a time; requests wait in
 * the order in which they came, and what consists of many texts waits anew for each of them, so that a long list holds nobody up.
 */
import { TritsmithError } from '../contract/errors.ts';
import {
  type ModelToServe,
  type ScoreRequest,
  type Scored,
  type ServedFacts,
  type ServingCommand,
  servingMessage,
  type WriteRequest,
  type Written,
} from '../contract/serving-protocol.ts';
import type { SpawnPort, WorkerProcess } from '../jobs/spawn-port.ts';

/** How long a process may take to hear that its request is not wanted any more: between two tokens, or two pieces of a prompt. */
const cancelMilliseconds = 5000;

interface Running {
  readonly id: number;
  tell(text: string): void;
  resolve(answer: Written | Scored): void;
  reject(error: TritsmithError): void;
}

/** One process and what it is at. */
class Slot {
  readonly #port: SpawnPort;
  readonly #model: ModelToServe;
  #worker: WorkerProcess | null = null;
  #running: Running | null = null;
  #closed = false;

  constructor(port: SpawnPort, model: ModelToServe) {
    this.#port = port;
    this.#model = model;
  }

  /** Starts the process, or waits for nothing where it stands ready. @throws TritsmithError why the model cannot be opened */
  async open(): Promise<ServedFacts | null> {
    if (this.#worker !== null) return null;
    const worker = this.#port.spawn();
    this.#worker = worker;
    return new Promise<ServedFacts>((resolve, reject) => {
      worker.onMessage((raw) => {
        const parsed = servingMessage.safeParse(raw);
        if (!parsed.success) return;
        const message = parsed.data;
        if (message.type === 'opened') resolve(message.facts);
        else if (message.type === 'failed') reject(TritsmithError.deserialise(message.error));
        else this.#hear(message);
      });
      worker.onExit(() => {
        if (this.#worker === worker) this.#worker = null;
        const died = new TritsmithError('worker-died', 'helper.died', undefined, { details: worker.outputTail() });
        reject(died);
        this.#end()?.reject(died);
      });
      worker.send({ type: 'open', model: this.#model } satisfies ServingCommand);
    });
  }

  #hear(message: Exclude<ReturnType<typeof servingMessage.parse>, { type: 'opened' | 'failed' }>): void {
    if (this.#running?.id !== message.id) return;
    if (message.type === 'text') this.#running.tell(message.text);
    else if (message.type === 'refused') this.#end()?.reject(TritsmithError.deserialise(message.error));
    else this.#end()?.resolve(message);
  }

  #end(): Running | null {
    const running = this.#running;
    this.#running = null;
    return running;
  }

  /** Asks the process, which must be free. A process that died is started anew first. */
  async ask<R extends WriteRequest | ScoreRequest>(
    request: R,
    signal: AbortSignal,
    tell: (text: string) => void,
  ): Promise<Written | Scored> {
    await this.open();
    const worker = this.#worker;
    if (worker === null || this.#closed) throw new TritsmithError('stopped', 'serving.ending');
    let timer: NodeJS.Timeout | undefined;
    const cancel = (): void => {
      worker.send({ type: 'cancel', id: request.id } satisfies ServingCommand);
      timer = setTimeout(() => {
        worker.kill();
      }, cancelMilliseconds);
    };
    signal.addEventListener('abort', cancel);
    try {
      return await new Promise<Written | Scored>((resolve, reject) => {
        this.#running = { id: request.id, tell, resolve, reject };
        worker.send(request satisfies ServingCommand);
        if (signal.aborted) cancel();
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
    }
  }

  close(): void {
    this.#closed = true;
    this.#worker?.kill();
  }
}

interface Waiter {
  begin(slot: Slot): void;
  drop(): void;
}

export class ModelPool {
  readonly facts: ServedFacts;
  readonly size: number;
  readonly #slots: readonly Slot[];
  readonly #free: Slot[];
  #waiting: Waiter[] = [];
  #ids = 0;
  #closed = false;

  private constructor(slots: readonly Slot[], facts: ServedFacts) {
    this.#slots = slots;
    this.#free = [...slots];
    this.facts = facts;
    this.size = slots.length;
  }

  /** Starts `size` processes with the model. @throws TritsmithError why it cannot be opened */
  static async open(port: SpawnPort, model: ModelToServe, size: number): Promise<ModelPool> {
    const slots = Array.from({ length: size }, () => new Slot(port, model));
    try {
      const [facts] = await Promise.all(slots.map((slot) => slot.open()));
      return new ModelPool(slots, facts!);
    } catch (thrown) {
      for (const slot of slots) slot.close();
      throw thrown;
    }
  }

  get busy(): number {
    return this.size - this.#free.length;
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

  /** @throws TritsmithError, also `stopped` where `signal` aborts while it waits */
  async score(input: ScoreRequest['input'], signal: AbortSignal): Promise<Scored> {
    return (await this.#ask({ type: 'score', id: ++this.#ids, input }, signal, () => undefined)) as Scored;
  }

  async #ask(
    request: WriteRequest | ScoreRequest,
    signal: AbortSignal,
    tell: (text: string) => void,
  ): Promise<Written | Scored> {
    const slot = await this.#take(signal);
    try {
      return await slot.ask(request, signal, tell);
    } finally {
      this.#give(slot);
    }
  }

  #take(signal: AbortSignal): Promise<Slot> {
    if (this.#closed || signal.aborted) return Promise.reject(new TritsmithError('stopped', 'serving.ending'));
    const slot = this.#free.shift();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      const drop = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== waiter);
        reject(new TritsmithError('stopped', 'serving.ending'));
      };
      const waiter: Waiter = {
        begin: (found) => {
          signal.removeEventListener('abort', drop);
          resolve(found);
        },
        drop,
      };
      signal.addEventListener('abort', drop, { once: true });
      this.#waiting.push(waiter);
    });
  }

  #give(slot: Slot): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(slot);
    else next.begin(slot);
  }

  /** Ends the processes at once, whatever they are at. */
  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiting]) waiter.drop();
    for (const slot of this.#slots) slot.close();
  }
}
