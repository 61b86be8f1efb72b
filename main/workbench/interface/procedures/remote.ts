/** Runs on other computers. */
import type { Procedures } from './base.ts';

export function remoteProcedures({ remote }: Procedures) {
  return {
    remote: {
      list: remote.list.handler(({ context: { application } }) => application.elsewhere.list()),
      ask: remote.ask.handler(({ context: { application } }) => application.elsewhere.ask()),
      start: remote.start.handler(({ context: { application }, input }) =>
        application.elsewhere.start(input.recipe, input.place, input.beside),
      ),
      pause: remote.pause.handler(({ context: { application }, input }) =>
        application.elsewhere.stop(input.id, 'pause'),
      ),
      resume: remote.resume.handler(({ context: { application }, input }) =>
        application.elsewhere.resume(input.id, input.beside),
      ),
      cancel: remote.cancel.handler(({ context: { application }, input }) =>
        application.elsewhere.stop(input.id, 'cancel'),
      ),
      remove: remote.remove.handler(async ({ context: { application }, input }) => ({
        freedBytes: await application.elsewhere.remove(input.id),
      })),
      bring: remote.bring.handler(async ({ context: { application }, input }) =>
        application.queue.view(await application.elsewhere.bring(input.id)),
      ),
    },
  };
}
