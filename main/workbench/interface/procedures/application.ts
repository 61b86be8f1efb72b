/** The program itself: what it is, what the machine can do, settings, and the stream of everything that happens. */
import { browse } from '../browse.ts';
import { demoPaths } from '../demo.ts';
import { homeFolder } from '../../../contract/data-folder.ts';
import { hubCacheFolder } from '../../../basics/hub-cache.ts';
import { askWorker } from '../../../jobs/host.ts';
import { examine } from '../../machine/doctor.ts';
import { commandLine, programVersions } from '../../machine/machine.ts';
import { defaultWorkspaceFolder } from '../../workspace/workspace-folder.ts';
import type { Procedures } from './base.ts';

export function applicationProcedures({ application, files, drafts }: Procedures) {
  return {
    application: {
      information: application.information.handler(({ context: { application: app } }) => ({
        version: programVersions()['tritsmith'] ?? '',
        shell: app.options.shell,
        workspace: app.workspace.paths.folder,
        isOwnWorkspace: app.workspace.paths.folder === defaultWorkspaceFolder(),
        home: app.home,
        userFolder: homeFolder(),
        hubCache: hubCacheFolder(),
        notices: [...app.workspace.notices],
        demo: demoPaths(),
        commandLine: commandLine(),
      })),
      machine: application.machine.handler(({ context: { application: app } }) =>
        examine(app.options.jobs, app.workspace.paths.folder),
      ),
      card: application.card.handler(
        async ({ context: { application: app } }) =>
          (await askWorker(app.options.jobs, { type: 'probe-runtime' })).card,
      ),
      settings: application.settings.handler(({ context: { application: app } }) => app.settings.read()),
      changeSettings: application.changeSettings.handler(({ context: { application: app }, input }) =>
        app.settings.change(input),
      ),
      watch: application.watch.handler(({ context: { application: app }, signal }) => app.hub.watch(signal)),
    },
    files: {
      browse: files.browse.handler(({ context: { application: app }, input }) => browse(input.folder ?? app.home)),
      reveal: files.reveal.handler(({ context: { application: app }, input }) => {
        app.options.reveal?.(input.path);
        return { shown: app.options.reveal !== undefined };
      }),
    },
    drafts: {
      list: drafts.list.handler(({ context: { application: app } }) => app.drafts.list()),
      save: drafts.save.handler(({ context: { application: app }, input }) => app.drafts.save(input)),
      remove: drafts.remove.handler(({ context: { application: app }, input }) => {
        app.drafts.remove(input.id);
        return null;
      }),
    },
  };
}
