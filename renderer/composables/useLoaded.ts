import { ref, type Ref, shallowRef, type ShallowRef, watch, type WatchSource } from 'vue';
import { connections, type Problem, problemOf } from '../client.ts';

export interface Loaded<T> {
  readonly value: ShallowRef<T | null>;
  readonly problem: Ref<Problem | null>;
  readonly loading: Ref<boolean>;
  reload(): Promise<void>;
}

/** Reads something from the workbench now, whenever `source` changes, and after each new connection. */
export function useLoaded<T>(read: () => Promise<T>, source: WatchSource<unknown> = () => null): Loaded<T> {
  const value = shallowRef<T | null>(null);
  const problem = ref<Problem | null>(null);
  const loading = ref(false);
  let turn = 0;
  async function reload(): Promise<void> {
    const mine = ++turn;
    loading.value = true;
    try {
      const found = await read();
      if (mine !== turn) return;
      value.value = found;
      problem.value = null;
    } catch (thrown) {
      if (mine === turn) problem.value = problemOf(thrown);
    } finally {
      if (mine === turn) loading.value = false;
    }
  }
  watch(
    [connections, source],
    ([count]) => {
      if (count > 0) void reload();
    },
    { immediate: true },
  );
  return { value, problem, loading, reload };
}
