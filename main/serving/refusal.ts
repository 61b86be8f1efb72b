/** Refusals in the shape that clients of the OpenAI interface read. */
import { TritsmithError } from '../contract/errors.ts';
import { type Message, render } from '../contract/messages/message.ts';
import { inOneText } from '../contract/messages/sentences.ts';

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request that gets no answer, with the status that says whose matter it is. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;

  /** @param said what happened and what to do */
  constructor(status: number, code: string, said: Message, param?: string) {
    super(inOneText(render(said)));
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.param = param ?? null;
  }

  get body(): ErrorBody {
    const type =
      this.status === 401
        ? 'authentication_error'
        : this.status === 403
          ? 'permission_error'
          : this.status === 429
            ? 'rate_limit_error'
            : this.status >= 500
              ? 'server_error'
              : 'invalid_request_error';
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** Any failure as a refusal. */
export function asRefusal(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  const error = TritsmithError.from(thrown);
  const said = { id: error.id, params: error.params };
  if (error.id === 'serving.context-full') return new Refusal(400, 'context_length_exceeded', said);
  if (error.code === 'bad-input' || error.code === 'unsupported') return new Refusal(400, 'invalid_value', said);
  if (error.code === 'stopped') return new Refusal(503, 'shutting_down', said);
  return new Refusal(500, error.code, said);
}
