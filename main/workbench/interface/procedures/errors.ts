/** How the workbench's errors cross to the interface: whole, as the contract's one typed error. */
import { ORPCError } from '@orpc/server';
import { databaseError } from '../../workspace/database.ts';

/** Errors that oRPC made itself (input that fails its schema) stay as they are. `database`: its path, for what SQLite says. */
export function toProcedureError(thrown: unknown, database?: string): Error {
  if (thrown instanceof ORPCError) return thrown;
  const data = databaseError(thrown, database).serialise();
  return new ORPCError('TRITSMITH', { defined: true, status: 422, message: data.message, data });
}

/** A procedure that streams: its errors cross like those of a procedure that answers once, which the router turns. */
export function streamed<Options, Item>(
  stream: (options: Options) => AsyncIterable<Item>,
): (options: Options) => AsyncGenerator<Item, void> {
  return async function* (options) {
    try {
      yield* stream(options);
    } catch (thrown) {
      throw toProcedureError(thrown);
    }
  };
}
