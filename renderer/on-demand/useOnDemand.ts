import { computed, type ComputedRef, onScopeDispose, ref, type Ref } from 'vue';
import type { ComponentName, ComponentState } from '../../main/contract/components.ts';
import { client } from '../client.ts';
import { type Action, useAction } from '../composables/useAction.ts';
import { useLoaded } from '../composables/useLoaded.ts';

export interface OnDemand {
  /** Null until it is known. */
  readonly state: ComputedRef<ComponentState | null>;
  readonly installing: Action;
  /** Share of the download that is there, and what is being done. */
  readonly progress: Ref<{ share: number; text: string }>;
  install(): Promise<boolean>;
  cancel(): void;
}

/** A program that is fetched only when a person asks for it: whether it is there, and how to get it. */
export function useOnDemand(component: ComponentName): OnDemand {
  const components = useLoaded(() => client.components.list());
  const state = computed(() => components.value.value?.find(({ name }) => name === component) ?? null);
  const installing = useAction();
  const progress = ref({ share: 0, text: '' });
  let stop = new AbortController();
  onScopeDispose(() => {
    stop.abort();
  });
  return {
    state,
    installing,
    progress,
    install: async () => {
      stop = new AbortController();
      const { signal } = stop;
      progress.value = { share: 0, text: '' };
      const went = await installing.run(async () => {
        try {
          for await (const { done, total, text } of await client.components.install({ name: component }, { signal }))
            progress.value = { share: total > 0 ? done / total : 0, text };
        } catch (thrown) {
          if (!signal.aborted) throw thrown;
        }
      });
      await components.reload();
      return went && state.value?.installed === true;
    },
    cancel: () => {
      stop.abort();
    },
  };
}
