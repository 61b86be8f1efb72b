/** What the workbench is doing, kept current by its event stream. Pages read from here and never poll. */
import { defineStore } from 'pinia';
import { computed, ref, shallowReactive, watch } from 'vue';
import type { HubDownload } from '../../main/contract/hub.ts';
import type {
  ApplicationInformation,
  ExperimentSummary,
  ExperimentView,
  LogLine,
  QueueState,
  Settings,
  WorkbenchEvent,
} from '../../main/contract/views.ts';
import type { ServedModel } from '../../main/contract/serving.ts';
import type { SideJob } from '../../main/contract/side-jobs.ts';
import { commandOf } from '../exports/commands.ts';
import { client, connected, connections, type Problem, problemOf } from '../client.ts';
import { nameCommand } from '../message-names.ts';
import { notifyOfEnd } from '../notifications.ts';
import { texts } from '../texts.ts';

const mostLogLines = 2000;

export const useWorkbench = defineStore('workbench', () => {
  const information = ref<ApplicationInformation | null>(null);
  const settings = ref<Settings>({ theme: 'system', proxy: '' });
  const experiments = ref<ExperimentSummary[]>([]);
  const listed = ref(false);
  const queue = ref<QueueState>({ held: false, interrupted: null });
  const views = shallowReactive(new Map<string, ExperimentView>());
  const logs = shallowReactive(new Map<string, readonly LogLine[]>());
  const downloads = shallowReactive(new Map<string, HubDownload>());
  /** What was last made of each finished experiment beside its stages, as far as this page has heard. */
  const sideJobs = shallowReactive(new Map<string, SideJob>());
  /** Students that are served to other programs, as far as this page has heard; null: not any more. */
  const served = shallowReactive(new Map<string, ServedModel | null>());
  const problem = ref<Problem | null>(null);
  const announcement = ref('');
  const running = computed(() => experiments.value.find(({ state }) => state === 'running') ?? null);
  /** Something would be missed if the workbench ended now. */
  const busy = computed(
    () => running.value !== null || [...downloads.values()].some(({ state }) => state === 'running'),
  );

  async function refreshList(): Promise<void> {
    [experiments.value, queue.value] = await Promise.all([client.experiments.list(), client.experiments.queue()]);
    listed.value = true;
  }

  async function refreshDownloads(): Promise<void> {
    const found = await client.hub.downloads();
    downloads.clear();
    for (const download of found) downloads.set(download.id, download);
  }

  async function load(id: string): Promise<ExperimentView> {
    const [view, lines] = await Promise.all([client.experiments.get({ id }), client.experiments.log({ id })]);
    views.set(id, view);
    logs.set(id, lines);
    return view;
  }

  function hear(event: WorkbenchEvent): void {
    switch (event.type) {
      case 'experiment':
        views.set(event.view.record.id, event.view);
        break;
      case 'live': {
        const view = views.get(event.id);
        if (view !== undefined) views.set(event.id, { ...view, live: event.live });
        break;
      }
      case 'log':
        if (logs.has(event.id))
          logs.set(event.id, [...(logs.get(event.id) ?? []), ...event.lines].slice(-mostLogLines));
        break;
      case 'side-job':
        sideJobs.set(event.job.experiment, event.job);
        break;
      case 'served':
        served.set(event.id, event.served);
        break;
      case 'list':
        void refreshList();
        break;
      case 'download':
        if (event.download === null) downloads.delete(event.id);
        else downloads.set(event.id, event.download);
        break;
      case 'ended':
        announcement.value = texts.run.notification(event.name, texts.states[event.state]);
        void refreshList();
        if (event.state === 'done' || event.state === 'failed' || event.state === 'interrupted')
          notifyOfEnd(event.id, event.name, event.state);
        break;
    }
  }

  async function begin(): Promise<void> {
    const connection = connections.value;
    sideJobs.clear();
    served.clear();
    try {
      const stream = await client.application.watch();
      [information.value, settings.value] = await Promise.all([
        client.application.information(),
        client.application.settings(),
        refreshList(),
        refreshDownloads(),
        ...[...views.keys()].map(load),
      ]);
      nameCommand(commandOf(information.value.commandLine, navigator.userAgent.includes('Windows')));
      problem.value = null;
      for await (const event of stream) hear(event);
      // The workbench ends the stream of a page that lagged behind: what the page missed is read again, by all who read.
      if (connected.value && connections.value === connection) connections.value += 1;
    } catch (thrown) {
      problem.value = problemOf(thrown);
    }
  }

  watch(
    connections,
    (count) => {
      if (count > 0) void begin();
    },
    { immediate: true },
  );

  async function changeTheme(theme: Settings['theme']): Promise<void> {
    settings.value = { ...settings.value, theme };
    await client.application.changeSettings({ theme });
  }

  /** Of the proxy that downloads go through; empty: the environment's. Throws where it cannot be used. */
  async function changeProxy(proxy: string): Promise<void> {
    settings.value = await client.application.changeSettings({ proxy });
  }

  /** Runs an action that answers with the experiment's new view. */
  async function act(action: Promise<ExperimentView>): Promise<ExperimentView> {
    const view = await action;
    views.set(view.record.id, view);
    return view;
  }

  return {
    information,
    settings,
    experiments,
    listed,
    queue,
    views,
    logs,
    downloads,
    sideJobs,
    served,
    problem,
    announcement,
    running,
    busy,
    refreshList,
    load,
    changeTheme,
    changeProxy,
    act,
  };
});
