import { onScopeDispose, shallowRef, type ShallowRef, watch } from 'vue';
import type { JobKind } from '../../main/contract/jobs.ts';
import type { TernaryWeights } from '../../main/contract/views.ts';
import { client } from '../client.ts';

const refreshMilliseconds = 4000;

/** The ternary weights of a stage, read again every few seconds while `pulse` changes. */
export function useTernaryWeights(
  id: () => string,
  stage: () => JobKind | null,
  pulse: () => unknown,
): ShallowRef<TernaryWeights | null> {
  const weights = shallowRef<TernaryWeights | null>(null);
  let timer: ReturnType<typeof setTimeout> | null = null;
  let last = -Infinity;

  async function read(): Promise<void> {
    timer = null;
    last = performance.now();
    const wanted = stage();
    if (wanted === null) {
      weights.value = null;
      return;
    }
    try {
      const found = await client.experiments.ternaryWeights({ id: id(), stage: wanted });
      if (wanted === stage()) weights.value = found;
    } catch {
      // The connection's own panel tells; the next pulse reads again.
    }
  }
  function schedule(delay: number): void {
    timer ??= setTimeout(() => void read(), delay);
  }
  watch(pulse, () => {
    schedule(Math.max(0, last + refreshMilliseconds - performance.now()));
  });
  watch(
    () => [id(), stage()].join(),
    () => {
      weights.value = null;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      schedule(0);
    },
    { immediate: true },
  );
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer);
  });
  return weights;
}
