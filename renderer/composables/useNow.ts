import { onScopeDispose, ref } from 'vue';
import type { Ref } from 'vue';

/** The time in milliseconds, once a second. */
export function useNow(): Ref<number> {
  const now = ref(Date.now());
  const timer = setInterval(() => {
    now.value = Date.now();
  }, 1000);
  onScopeDispose(() => {
    clearInterval(timer);
  });
  return now;
}
