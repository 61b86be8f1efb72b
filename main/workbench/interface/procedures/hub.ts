/** The Hugging Face Hub, asked only by a user who searches or downloads. */
import type { Procedures } from './base.ts';

export function hubProcedures({ hub }: Procedures) {
  return {
    hub: {
      access: hub.access.handler(({ context: { application } }) => application.downloads.access()),
      useToken: hub.useToken.handler(({ context: { application }, input }) =>
        application.downloads.useToken(input.token),
      ),
      search: hub.search.handler(({ context: { application }, input }) => application.downloads.search(input)),
      inspect: hub.inspect.handler(({ context: { application }, input }) => application.downloads.inspect(input.id)),
      download: hub.download.handler(({ context: { application }, input }) => application.downloads.start(input.id)),
      pause: hub.pause.handler(async ({ context: { application }, input }) => {
        await application.downloads.pause(input.id);
        return null;
      }),
      cancel: hub.cancel.handler(async ({ context: { application }, input }) => {
        await application.downloads.cancel(input.id);
        return null;
      }),
      downloads: hub.downloads.handler(({ context: { application } }) => application.downloads.list()),
    },
  };
}
