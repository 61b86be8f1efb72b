/** Students that other programs of this machine may ask. */
import type { Procedures } from './base.ts';

export function servingProcedures({ serving }: Procedures) {
  return {
    serving: {
      get: serving.get.handler(({ context: { application }, input }) => application.served.get(input.id)),
      start: serving.start.handler(({ context: { application }, input }) => application.served.start(input.id)),
      stop: serving.stop.handler(async ({ context: { application }, input }) => {
        await application.served.stop(input.id);
        return null;
      }),
    },
  };
}
