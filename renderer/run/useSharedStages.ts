import { onScopeDispose, shallowRef, type ShallowRef, watch } from 'vue';
import type { SharedStages } from '../../main/contract/shared-stages.ts';
import { client } from '../client.ts';

const refreshMilliseconds = 2000;

/** How ranks share the stages of a run, read again every few seconds while `pulse` changes. */
export function useSharedStages(id: () => string, pulse: () => unknown): ShallowRef<SharedStages> {
  const shared = shallowRef<SharedStages>({});
  let timer: ReturnType<typeof setTimeout> | null = null;

  async function read(): Promise<void> {
    timer = null;
    try {
      shared.value = await client.experiments.sharedStages({ id: id() });
    } catch {
      // The connection's own panel tells; the next pulse reads again.
    }
  }
  watch(pulse, () => {
    timer ??= setTimeout(() => void read(), refreshMilliseconds);
  });
  watch(id, () => void read(), { immediate: true });
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer);
  });
  return shared;
}
