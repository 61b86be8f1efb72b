import { computed, type ComputedRef, watch } from 'vue';
import type { SideJob, SideTask } from '../../main/contract/side-jobs.ts';
import { client } from '../client.ts';
import { useWorkbench } from '../stores/workbench.ts';
import { type Action, useAction } from '../composables/useAction.ts';

export interface SideJobWatch {
  readonly job: ComputedRef<SideJob | null>;
  readonly running: ComputedRef<boolean>;
  readonly starting: Action;
  start(task: SideTask): Promise<boolean>;
  cancel(): void;
}

/**
 * What is being made of a finished experiment beside its stages. `known` is what was read with the page, for a job that was started
 * before; `onEnd` is called when one ends.
 */
export function useSideJob(id: () => string, known: () => SideJob | null, onEnd: () => void): SideJobWatch {
  const workbench = useWorkbench();
  const starting = useAction();
  const job = computed(() => workbench.sideJobs.get(id()) ?? known());
  const running = computed(() => job.value?.state === 'running');
  watch(running, (now, before) => {
    if (before && !now) onEnd();
  });
  return {
    job,
    running,
    starting,
    start: (task) =>
      starting.run(async () => {
        workbench.sideJobs.set(id(), await client.results.startJob({ id: id(), task }));
      }),
    cancel: () => {
      void client.results.cancelJob({ id: id() });
    },
  };
}
