import { onScopeDispose, shallowRef, watch } from 'vue';
import type { Ref, ShallowRef } from 'vue';
import type { Curve } from '../../main/contract/views.ts';
import { client } from '../client.ts';

const REFRESH_MILLISECONDS = 1000;

/**
 * Thinned curves of an experiment, read again about once a second while `pulse` changes: the workbench thins them, so a million
 * steps cost the page no more than a thousand.
 */
export function useCurves(
  id: () => string,
  names: () => readonly string[],
  pulse: () => unknown,
  points: Ref<number>,
): ShallowRef<Map<string, Curve['points']>> {
  const curves = shallowRef(new Map<string, Curve['points']>());
  let timer: ReturnType<typeof setTimeout> | null = null;
  let reading = false;
  let last = 0;

  async function read(): Promise<void> {
    timer = null;
    const wanted = [...names()];
    if (reading || wanted.length === 0) return;
    reading = true;
    last = performance.now();
    try {
      const found = await client.experiments.curves({ id: id(), names: wanted, points: points.value });
      curves.value = new Map(
        found.filter((curve) => curve.points.length > 0).map((curve) => [curve.name, curve.points]),
      );
    } catch {
      // The connection's own panel tells; the next pulse reads again.
    } finally {
      reading = false;
    }
  }
  function schedule(): void {
    timer ??= setTimeout(() => void read(), Math.max(0, last + REFRESH_MILLISECONDS - performance.now()));
  }
  watch([id, names], () => {
    last = 0;
    schedule();
  });
  watch(pulse, schedule, { immediate: true });
  onScopeDispose(() => {
    if (timer !== null) clearTimeout(timer);
  });
  return curves;
}
